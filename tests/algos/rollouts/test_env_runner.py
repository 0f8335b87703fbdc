# pyright: basic
"""The runner: every step becomes a row with the right reward, future and statistics."""

import copy
import json
from pathlib import Path
from typing import Any

import gymnasium
import naive
import numpy as np
import pytest
import small
import torch
import toy_worlds
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_worlds import Counting

from algos.rollouts.env_factory import make_vector_env
from algos.rollouts.env_runner import EnvironmentFault
from algos.rollouts.episode_statistics import (
    EpisodeStatistics,
    RolloutStatistics,
    compute_environment_metrics,
    merge_statistics,
    of_step,
)
from envs.validation import InputError

TRUNCATED = {"terminates": False, "truncates": True}
BOTH = {"truncates": True}


def counting_next_step(num_envs, **kwargs):
    """Counting as a vector environment that resets in the step after the end."""
    makers = [lambda: Counting(**kwargs)] * num_envs
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.NEXT_STEP)


gymnasium.register("CountingNextStep-v0", vector_entry_point=counting_next_step)


def rollout(env="toy_worlds:Counting-v0", env_kwargs=None, **changed):
    built = small.runner(env, env_kwargs, **changed)
    found, statistics = built.collect(built.settings.rollout_length)
    return built, found, statistics


def value_of(built, step):
    """The value of the observation with that number."""
    column = {"obs": np.array([[step]], np.float32)}
    return built.module.act(column, None, greedy=True)[2].item()


def test_observations_rewards_and_ends_are_those_of_the_environment():
    _, found, statistics = rollout()
    for b in range(2):
        assert found.columns["obs"][:, b, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
        assert found.rewards[:, b].tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
        assert np.flatnonzero(found.done[:, b]).tolist() == [2, 5]
    assert found.valid.all()
    assert statistics["episodes"]["episode_return"].tolist() == [6] * 4
    assert statistics["episodes"]["episode_length"].tolist() == [3] * 4
    assert statistics["steps"] == 16 and statistics["reward_sum"] == 30


def test_an_episode_goes_on_in_the_next_rollout():
    built, _, _ = rollout()
    found, statistics = built.collect(2)
    # The third episode had 2 of its 3 steps; its third is the first step here.
    assert found.columns["obs"][:, 0, 0].tolist() == [2, 0]
    assert statistics["episodes"]["episode_return"].tolist() == [6, 6]


@pytest.mark.parametrize("env", ["toy_worlds:Counting-v0", "CountingNextStep-v0"])
@pytest.mark.parametrize("kwargs", [{}, TRUNCATED, BOTH], ids=["terminated", "truncated", "both"])
@pytest.mark.parametrize("length", [7, 8, 9, 10, 11])
def test_every_step_is_bootstrapped_from_the_state_that_it_led_to(env, kwargs, length):
    # Rollouts of all these lengths end within an episode, at its end, and on an empty step.
    built, found, _ = rollout(env, kwargs, rollout_length=length)
    assert found.valid.sum() >= 12
    for t, b in np.argwhere(found.valid):
        step = int(found.columns["obs"][t, b, 0])
        over = step == 2
        expected = 0.0 if over and kwargs is not TRUNCATED else value_of(built, step + 1)
        assert found.done[t, b] == over
        assert found.values[t, b] == pytest.approx(value_of(built, step), abs=1e-6)
        assert found.next_values[t, b] == pytest.approx(expected, abs=1e-6)
        assert found.rewards[t, b] == step + 1


def test_the_final_observation_is_worth_something_else_than_the_next_episodes_first():
    built, found, _ = rollout(env_kwargs=TRUNCATED)
    assert abs(value_of(built, 3) - value_of(built, 0)) > 0.1
    assert found.next_values[2, 0] == pytest.approx(value_of(built, 3), abs=1e-6)


def test_the_empty_step_in_which_an_environment_only_resets_is_no_row():
    built, found, statistics = rollout("CountingNextStep-v0")
    # Steps 3 and 7 only reset: 1 2 3 _ 1 2 3 _
    assert found.valid[:, 0].tolist() == [True, True, True, False] * 2
    assert statistics["steps"] == 12 and statistics["reward_sum"] == 24
    assert statistics["episodes"]["episode_length"].tolist() == [3] * 4
    rows, _ = built.sample()
    assert rows["obs"][:, 0].tolist() == [0, 0, 1, 1, 2, 2] * 2


def test_a_reset_at_the_seam_of_two_rollouts_is_no_row():
    # Episodes of 3 steps and rollouts of 3: each second rollout begins with the empty step.
    built, first, _ = rollout("CountingNextStep-v0", rollout_length=3, minibatch_size=6)
    second, statistics = built.collect(3)
    third, _ = built.collect(3)
    assert first.valid[:, 0].tolist() == [True] * 3 and first.done[2].all()
    assert second.valid[:, 0].tolist() == [False, True, True]
    assert third.valid[:, 0].tolist() == [True, False, True]
    assert statistics["steps"] == 4 and statistics["reward_sum"] == 2 * (1 + 2)
    assert second.to_rows()["obs"][:, 0].tolist() == [0, 0, 1, 1]


def test_advantages_do_not_leak_over_the_empty_step():
    same, _ = small.runner("toy_worlds:Counting-v0", rollout_length=6).sample()
    following, _ = small.runner("CountingNextStep-v0", rollout_length=8).sample()
    for name in ("obs", "advantages", "returns", "values"):
        np.testing.assert_allclose(following[name], same[name], atol=1e-6, err_msg=name)


def test_in_gymnasiums_own_batched_cart_pole_returns_are_lengths():
    built, found, statistics = rollout("CartPole-v1", num_envs=4, rollout_length=120)
    assert built.autoreset == AutoresetMode.NEXT_STEP
    episodes = statistics["episodes"]
    assert len(episodes["episode_return"]) > 8
    assert (episodes["episode_return"] == episodes["episode_length"]).all()
    assert (found.rewards[found.valid] == 1).all()
    # Each finished episode is followed by one empty step, unless the rollout ends there.
    assert (~found.valid).sum() == found.done[:-1].sum()


def test_observations_of_several_parts_are_bootstrapped_from_their_final_parts():
    # The last step of an episode sees context 6, which no row shows: the next row has context 0.
    built, found, _ = rollout("toy_worlds:Masked-v0", rollout_length=6, model="set")
    assert found.columns["obs.context"][:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    final = {
        "obs.nodes": np.arange(8, dtype=np.float32).reshape(1, 4, 2) + 6,
        "obs.context": np.array([[6]], np.float32),
        "obs.mask": np.array([[0, 0, 1, 1]], np.int8),
    }
    expected = built.module.act(final, None, greedy=True)[2].item()
    assert found.next_values[5].tolist() == pytest.approx([expected] * 2, abs=1e-5)


@pytest.mark.parametrize("model", ["set", "mlp"])
def test_illegal_choices_are_never_sent_to_the_environment(model):
    # The environment raises at the first one.
    _, _, statistics = rollout("toy_worlds:Masked-v0", rollout_length=100, model=model)
    assert statistics["choices"].sum() == 200 and (statistics["choices"] > 0).all()


def test_the_same_seed_gives_the_same_rollouts_and_another_seed_or_worker_others():
    def drawn(**changed):
        built = small.runner("toy_worlds:Drawing-v0", **changed)
        rows = [built.sample()[0] for _ in range(2)]
        return np.concatenate([np.stack([r["obs"][:, 0], r["choice"], r["logp"]]) for r in rows], 1)

    first = drawn(seed=3)
    np.testing.assert_array_equal(drawn(seed=3), first)
    assert (drawn(seed=4)[0] != first[0]).all()
    other_worker = drawn(seed=3, worker_index=1)
    assert (other_worker[0] != first[0]).all()
    assert (other_worker[1] != first[1]).any()


def test_a_runner_reseeded_at_another_iteration_draws_anew():
    def reseeded(restored_at):
        built = small.runner("toy_worlds:Drawing-v0")
        built.reseed(restored_at)
        rows, _ = built.sample()
        return rows["obs"], rows["choice"], built.env_seed

    first, again, later = reseeded(5), reseeded(5), reseeded(6)
    for one, same, other in zip(first, again, later, strict=True):
        np.testing.assert_array_equal(one, same)
        assert np.any(one != other)


def test_copies_of_an_environment_have_seeds_of_their_own():
    _, found, _ = rollout("toy_worlds:Drawing-v0")
    assert (found.columns["obs"][:, 0] != found.columns["obs"][:, 1]).all()


def test_a_runner_that_takes_over_a_state_goes_on_as_the_other_would_have():
    kwargs: Any = {"num_envs": 3, "rollout_length": 25}
    first = small.runner("envs:CausalLearning-v0", **kwargs)
    first.sample()
    state = copy.deepcopy(first.get_state())  # as a checkpoint on disk is
    expected = [first.sample() for _ in range(2)]
    second = small.runner("envs:CausalLearning-v0", seed=8, **kwargs)
    second.set_state(state)
    for rows, statistics in expected:
        again, same = second.sample()
        for name in rows:
            np.testing.assert_array_equal(again[name], rows[name], err_msg=name)
        for name, values in statistics["episodes"].items():
            np.testing.assert_array_equal(same["episodes"][name], values, err_msg=name)
        assert len(statistics["episodes"]["episode_return"]) > 0


def test_a_restored_runner_never_steps_an_episode_that_is_over():
    one_step: Any = {"num_envs": 1, "rollout_length": 1, "minibatch_size": 1}
    first = small.runner("CartPole-v1", **one_step)
    while not first.collect(1)[0].done.any():
        pass
    second = small.runner("CartPole-v1", seed=1, **one_step)
    second.set_state(copy.deepcopy(first.get_state()))
    found, _ = second.collect(3)
    fallen = np.abs(found.columns["obs"][..., 2]) > 12 * 2 * np.pi / 360
    assert not (fallen & found.valid).any()


def test_a_state_once_taken_does_not_change_with_the_runner():
    built = small.runner("envs:CausalLearning-v0")
    built.sample()
    state = built.get_state()
    before = state["env"]["statistics"].returns.copy()
    built.sample()
    np.testing.assert_array_equal(state["env"]["statistics"].returns, before)


# What an environment does wrong.


def test_a_failing_environment_is_named_with_its_step_and_the_users_own_line():
    with pytest.raises(EnvironmentFault) as fault:
        small.runner("toy_worlds:Sick-v0").sample()
    source = Path(toy_worlds.__file__).read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(source) if "the line the user" in text)
    sentence = str(fault.value)
    assert sentence.startswith("toy_worlds:Sick-v0 failed in step() at step 2 of runner 0: ")
    assert "ZeroDivisionError: the pole fell off" in sentence
    assert f"toy_worlds.py:{line} in step" in sentence


def test_a_failure_deep_in_a_library_is_told_with_the_users_own_line_too():
    with pytest.raises(
        EnvironmentFault, match=r"not positive definite.*toy_worlds\.py:\d+ in step"
    ):
        small.runner("toy_worlds:Sick-v0", {"sickness": "raises deep down"}).sample()


@pytest.mark.parametrize(
    ("sickness", "where"),
    [
        ("observation", "obs at step 3 of the rollout in copy 0"),
        ("reward", "reward at step 2 of the rollout in copy 0"),
    ],
)
def test_numbers_that_are_not_finite_are_counted_with_the_first_place(sickness, where):
    _, _, statistics = rollout("toy_worlds:Sick-v0", {"sickness": sickness})
    assert statistics["nonfinite"] >= 2  # in both copies
    assert statistics["nonfinite_where"] == where


def test_a_last_observation_that_is_not_finite_is_noticed_although_no_row_shows_it():
    # Step 8 is the last of the rollout: its observation is only bootstrapped from.
    _, _, statistics = rollout("toy_worlds:Sick-v0", {"sickness": "observation", "at": 8})
    assert statistics["nonfinite"] > 0


def test_a_healthy_rollout_counts_nothing():
    _, _, statistics = rollout()
    assert (statistics["nonfinite"], statistics["nonfinite_where"]) == (0, "")


def test_an_unknown_environment_is_refused_in_a_sentence():
    for name in ("CartPol-v1", "no_such_module:CartPole-v1"):
        with pytest.raises(InputError, match=f"There is no environment '{name}'"):
            make_vector_env(name, {}, 2)


# Statistics of several runners.


def collected(steps, part):
    """The statistics of a runner that has only some of the copies of these steps [T, B]."""
    valid = np.ones((len(steps["rewards"]), len(part)), bool)
    own = {name: column[:, part] for name, column in steps.items()}
    found = RolloutStatistics(EpisodeStatistics(len(part), ("score",)), choices=3)
    for t in range(len(valid)):
        infos = {"score": own["score"][t], "reward_before_bonus": own["base"][t]}
        found.record_step(infos, own["done"][t])
    told = found.summarise({"choice": own["choice"]}, own["rewards"], own["done"], valid)
    return told | {"sample_s": 1.0, "condition": own_condition(own, part)}


def own_condition(own, part):
    nothing, lengths = np.zeros_like(own["done"]), np.asarray(part)
    return compute_environment_metrics(
        {"obs": own["base"]}, own["rewards"], own["done"], nothing, lengths
    )


def test_the_statistics_of_two_runners_are_those_of_one_with_all_copies():
    rng, shape = np.random.default_rng(0), (12, 4)
    steps = {
        "rewards": rng.normal(size=shape).astype(np.float32),
        "base": 0.01 * rng.normal(size=shape),
        "score": rng.normal(size=shape),
        "choice": rng.integers(0, 3, shape),
        "done": rng.random(shape) < 0.3,
    }
    one = merge_statistics([collected(steps, [0, 1, 2, 3])])
    two = merge_statistics([collected(steps, [0, 1]), collected(steps, [2, 3])])
    assert one.keys() == two.keys() and one["episodes"] > 5
    for name in one:
        assert two[name] == pytest.approx(one[name]), name
    assert json.dumps(one)  # plain numbers, ready for a row of a file


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 99))
def test_returns_and_lengths_are_those_of_a_loop_over_steps_across_rollouts(T, B, seed):
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(2 * T, B))
    done, valid = rng.random((2, 2 * T, B)) < np.array([0.3, 0.9])[:, None, None]
    running = EpisodeStatistics(B)
    found = [
        RolloutStatistics(running, 1).summarise({}, rewards[part], done[part], valid[part])[
            "episodes"
        ]
        for part in (slice(0, T), slice(T, 2 * T))
    ]
    returns, lengths = naive.episodes(rewards, done, valid)
    seen = [e for e in found if e]
    assert sorted(x for e in seen for x in e["episode_return"]) == pytest.approx(returns)
    assert sorted(x for e in seen for x in e["episode_length"]) == lengths


def test_merged_statistics_worked_out_by_hand():
    # One copy: rewards 1, 0.005 and 3; the first two are an episode; choices 0, 2, 2.
    collected = RolloutStatistics(EpisodeStatistics(1), choices=3)
    rewards = np.array([[1], [0.005], [3]])
    done, valid = np.array([[False], [True], [False]]), np.ones((3, 1), bool)
    columns = {"choice": np.array([[0], [2], [2]])}
    # One number that is observed went up to 4 and one never changed; nothing was cut off.
    observed = {"obs": np.array([[[-4.0, 7.0]], [[1.0, 7.0]], [[2.0, 7.0]]])}
    told = compute_environment_metrics(observed, rewards, done, ~valid, np.array([1]))
    assert told == {
        "observation_abs_max": 7,
        "observation_constant_fraction": 0.5,
        "reward_abs_max": 3,
        "truncated_fraction": 0,
        "running_length_max": 1,
    }
    further = {"sample_s": 2.0, "condition": told}
    part = collected.summarise(columns, rewards, done, valid) | further
    found = merge_statistics([part])
    assert found["episodes"] == 1 and found["episode_length"] == 2
    assert found["return_mean"] == pytest.approx(1.005)
    assert found["reward_mean"] == pytest.approx(4.005 / 3)
    assert found["reward_std"] == pytest.approx(np.std([1, 0.005, 3]))
    assert found["zero_reward_fraction"] == pytest.approx(1 / 3)
    assert found["rewarded_episode_fraction"] == 1
    assert found["choice_fractions"] == pytest.approx([1 / 3, 0, 2 / 3])
    assert found["choice_fraction_max"] == pytest.approx(2 / 3)
    # Without a finished episode there is no return, rather than a wrong one.
    empty = RolloutStatistics(EpisodeStatistics(1), choices=3)
    nothing = merge_statistics([empty.summarise(columns, rewards, ~valid, valid) | further])
    assert nothing["episodes"] == 0 and "return_mean" not in nothing


def test_zero_rewards_are_those_before_bonuses():
    # A bonus of 1 in every step must not hide that the task itself pays nothing.
    collected = RolloutStatistics(EpisodeStatistics(1), choices=1)
    valid, rewards = np.ones((4, 1), bool), np.ones((4, 1))
    for t in range(4):
        collected.record_step({"reward_before_bonus": np.zeros(1)}, ~valid[t])
    assert collected.summarise({}, rewards, ~valid, valid)["zero_rewards"] == 4


def test_an_episode_is_rewarded_by_any_reward_before_bonuses_in_any_rollout():
    # Two copies, two rollouts of two steps. Copy 0 is paid before the seam and ends after it; copy
    # 1 ends twice and earns bonuses only, but for the step that follows its last end.
    running, valid = EpisodeStatistics(2), np.ones((2, 2), bool)
    paid = [np.array([[0.0, 0.0], [0.005, 0.0]]), np.array([[0.0, 0.0], [0.0, 1.0]])]
    done = [np.array([[False, False], [False, True]]), np.array([[True, True], [False, False]])]
    found = []
    for rewards, ends in zip(paid, done, strict=True):
        collected = RolloutStatistics(running, choices=1)
        for t in range(2):
            collected.record_step({"reward_before_bonus": rewards[t]}, ends[t])
        told = collected.summarise({}, rewards + 1, ends, valid)["episodes"]
        found.append(told["rewarded_episode_fraction"].tolist())
    assert found == [[False], [True, False]]
    assert running.rewarded.tolist() == [0, 1]


def test_figures_of_an_episode_are_its_last_ones_in_both_autoreset_modes():
    ended, valid = np.array([True, False]), np.ones((1, 2), bool)
    for infos in ({"score": np.array([5, 6])}, {"final_info": {"score": np.array([5, 0])}}):
        collected = RolloutStatistics(EpisodeStatistics(2, ("score",)), choices=1)
        collected.record_step(infos | {"other": 1}, ended)
        found = collected.summarise({}, np.zeros((1, 2)), ended[None], valid)
        assert found["episodes"]["score"].tolist() == [5]


def test_the_worlds_own_figures_are_reported_for_finished_episodes():
    built = small.runner("envs:CausalLearning-v0", rollout_length=60)
    _, statistics = built.sample()
    names = built.env.world.episode_metrics
    assert names and set(names) <= set(statistics["episodes"])
    count = len(statistics["episodes"]["episode_return"])
    assert count > 0 and all(len(statistics["episodes"][name]) == count for name in names)


def test_rows_hold_arrays_that_a_network_can_take():
    rows, _ = small.runner("envs:CausalLearning-v0").sample()
    tensors = rows.to_torch()
    assert all(isinstance(column, torch.Tensor) for column in tensors.rows.values())
    assert all(len(column) == len(rows) for column in tensors.rows.values())


def test_a_steps_figures_include_those_of_the_copies_that_ended():
    plain = {"score": np.array([5, 6]), "_score": np.array([True, True])}
    assert np.array(of_step(plain, "score")).tolist() == [5, 6] and of_step(plain, "other") is None
    ended = np.array([True, False])
    final = {"final_info": {"score": np.array([7, 0]), "_score": ended}, "_final_info": ended}
    mixed = {"score": np.array([0, 6]), "_score": ~ended} | final
    assert np.array(of_step(mixed, "score")).tolist() == [7, 6]
    assert mixed["score"].tolist() == [0, 6]
    assert np.array(of_step(final, "score")).tolist() == [7, 0]
    del final["final_info"]["_score"]  # a batch of one's own may leave the inner masks out
    assert np.array(of_step(mixed, "score")).tolist() == [7, 6]


def test_rewards_before_a_bonus_include_those_of_last_steps():
    ended = np.array([True, False])
    infos = {
        "reward_before_bonus": np.array([0.0, 1.0]),
        "_reward_before_bonus": ~ended,
        "final_info": {"reward_before_bonus": np.array([1.0, 0.0])},
        "_final_info": ended,
    }
    collected = RolloutStatistics(EpisodeStatistics(2), choices=1)
    collected.record_step(infos, ended)
    found = collected.summarise({}, np.zeros((1, 2)), ended[None], np.ones((1, 2), bool))
    assert found["zero_rewards"] == 0
