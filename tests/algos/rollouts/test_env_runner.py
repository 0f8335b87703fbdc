# pyright: basic
"""The runner: every step becomes a row with the right reward, future and statistics."""

import copy
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import small
import torch
import toy_worlds
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from staged_world import Ladder
from toy_worlds import Counting

from algos.rollouts.env_factory import make_vector_env
from algos.rollouts.environment_fault import EnvironmentFault
from rungwise.validation import InputError

TRUNCATED = {"terminates": False, "truncates": True}
BOTH = {"truncates": True}


def counting_next_step(num_envs, **kwargs):
    """Counting as a vector environment that resets in the step after the end."""
    makers = [lambda: Counting(**kwargs)] * num_envs
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.NEXT_STEP)


class Unconverted(Counting):
    """Counting with a tuple for an array, arrays for a reward and an end, and a number for one."""

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, np.array([reward]), np.array([terminated]), int(truncated), info

    def _observed(self):
        return (float(self.steps),)


class Reusing(Counting):
    """Counting that shows its observations, the final ones too, in one array."""

    def _observed(self):
        self.own = getattr(self, "own", np.zeros(1, np.float32))
        self.own[:] = self.steps
        return self.own


gymnasium.register("CountingNextStep-v0", vector_entry_point=counting_next_step)
gymnasium.register("CountingUnconverted-v0", lambda **kwargs: Unconverted(**kwargs))
gymnasium.register("CountingReusing-v0", lambda **kwargs: Reusing(**kwargs))


def rollout(env="toy_worlds:Counting-v0", env_kwargs=None, **changed):
    built = small.runner(env, env_kwargs, **changed)
    found, statistics = built.collect(built.settings.rollout_length)
    return built, found, statistics


def value_of(built, step):
    """The value of the observation with that number."""
    column = {"obs": np.array([[step]], np.float32)}
    return built.module.act(column, None, greedy=True)[2].item()


def test_observations_rewards_and_ends_are_the_environments():
    _, found, statistics = rollout()
    for b in range(2):
        assert found.columns["obs"][:, b, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
        assert found.rewards[:, b].tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
        assert np.flatnonzero(found.done[:, b]).tolist() == [2, 5]
    assert found.valid.all()
    assert statistics["episodes"]["episode_return"].tolist() == [6] * 4
    assert statistics["episodes"]["episode_length"].tolist() == [3] * 4
    assert statistics["steps"] == 16 and statistics["reward_sum"] == 30


@pytest.mark.parametrize("limit", [{}, {"max_episode_steps": 70}])
def test_the_limit_of_an_episode_is_reported_where_it_is_known(limit):
    _, _, statistics = rollout(env_kwargs=limit)
    assert statistics["condition"].get("time_limit") == limit.get("max_episode_steps")


def test_an_episode_goes_on_in_the_next_rollout():
    built, _, _ = rollout()
    found, statistics = built.collect(2)
    # The third episode had 2 of its 3 steps; its third is the first step here.
    assert found.columns["obs"][:, 0, 0].tolist() == [2, 0]
    assert statistics["episodes"]["episode_return"].tolist() == [6, 6]


@pytest.mark.parametrize(
    "env",
    ["toy_worlds:Counting-v0"]
    + [f"Counting{kind}-v0" for kind in ("NextStep", "Unconverted", "Reusing")],
)
@pytest.mark.parametrize("kwargs", [{}, TRUNCATED, BOTH], ids=["terminated", "truncated", "both"])
@pytest.mark.parametrize("length", [7, 8, 9, 10, 11])
def test_every_step_is_bootstrapped_from_its_next_state(env, kwargs, length):
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


def test_final_and_next_first_observation_differ_in_value():
    built, found, _ = rollout(env_kwargs=TRUNCATED)
    assert abs(value_of(built, 3) - value_of(built, 0)) > 0.1
    assert found.next_values[2, 0] == pytest.approx(value_of(built, 3), abs=1e-6)


def test_a_step_that_only_resets_is_no_row():
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


def test_dict_observations_are_bootstrapped_from_final_parts():
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


def test_seed_and_worker_determine_the_rollouts():
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


def test_a_restored_runner_continues_exactly():
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


def test_an_environment_fault_names_step_and_user_line():
    with pytest.raises(EnvironmentFault) as fault:
        small.runner("toy_worlds:Sick-v0").sample()
    source = Path(toy_worlds.__file__).read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(source) if "the line the user" in text)
    sentence = str(fault.value)
    assert sentence.startswith("toy_worlds:Sick-v0 failed in step() at step 2 of runner 0: ")
    assert "ZeroDivisionError: the pole fell off" in sentence
    assert f"toy_worlds.py:{line} in step" in sentence


def test_a_fault_in_a_library_names_the_user_line():
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
def test_nonfinite_numbers_are_counted_and_the_first_located(sickness, where):
    _, _, statistics = rollout("toy_worlds:Sick-v0", {"sickness": sickness})
    assert statistics["nonfinite"] >= 2  # in both copies
    assert statistics["nonfinite_where"] == where


def test_a_nonfinite_last_observation_is_counted():
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


def test_rows_hold_arrays_that_a_network_can_take():
    rows, _ = small.runner("envs:CausalLearning-v0").sample()
    tensors = rows.to_torch()
    assert all(isinstance(column, torch.Tensor) for column in tensors.rows.values())
    assert all(len(column) == len(rows) for column in tensors.rows.values())


def test_recorded_steps_hold_rewards_ends_and_unique_episodes():
    runner = small.runner(
        "CartPole-v1", record="folder", num_envs=2, rollout_length=40, worker_index=3
    )
    recorded = [runner.sample()[1]["recorded"] for _ in range(2)]
    for rows in recorded:
        assert (rows["reward"] == 1).all() and rows["done"].any()
    episodes = np.concatenate([rows["episode"] for rows in recorded])
    ends = sum(int(rows["done"].sum()) for rows in recorded)
    assert len(np.unique(episodes)) in (ends, ends + 1, ends + 2) and (episodes >> 53 == 3).all()


@pytest.mark.parametrize("env", ["envs:CausalLearning-v0", "CartPole-v1"])
def test_a_state_without_an_environment_leaves_the_episodes(env):
    runner, other = (small.runner(env, num_envs=2, rollout_length=4, seed=s) for s in (0, 1))
    state = other.get_state()
    state.pop("env", None)
    before = {name: column.copy() for name, column in runner.observation.items()}
    runner.set_state(state)
    for name, column in before.items():
        np.testing.assert_array_equal(runner.observation[name], column)


def test_a_state_brings_its_stage_of_the_curriculum():
    runner = small.runner("staged_world:Ladder-v0", num_envs=2, rollout_length=4)
    runner.set_state({"stage": 2})
    assert runner.env.world.stage == 2


def test_a_new_environment_begins_with_the_last_stage_and_weights(monkeypatch):
    runner = small.runner("staged_world:Ladder-v0", num_envs=2, rollout_length=4)
    runner.set_state({"stage": 2})
    given = []

    def with_policy_weights(world, weights):
        given.append(weights)
        return world

    monkeypatch.setattr(Ladder, "with_policy_weights", with_policy_weights)
    runner.reseed(1)
    assert runner.env.world.stage == 2 and (runner.observation["obs"] == 2).all()
    assert len(given) == 1 and small.same_weights(given[0], runner.module.get_state())


def test_the_condition_is_that_of_the_observations():
    rollout, found = small.runner("CartPole-v1", num_envs=2, rollout_length=8).collect(8)
    expected = abs(rollout.columns["obs"]).max()
    assert found["condition"]["observation_abs_max"] == pytest.approx(expected)


def test_the_condition_is_that_of_the_acting_statistics():
    chosen = {"num_envs": 2, "rollout_length": 8, "normalise_observations": True}
    runner = small.runner("CartPole-v1", **chosen)
    name = "normaliser_constant_fraction"
    assert runner.collect(8)[1]["condition"][name] == 1
    column = torch.tensor([[0.0, 1, 2, 3], [0, 1, 2, 4]])
    runner.module.observation_normaliser.update({"obs": column}, torch.Tensor.clone)
    assert runner.collect(8)[1]["condition"][name] == 0.75
    assert name not in small.runner("CartPole-v1").collect(8)[1]["condition"]


def test_action_metrics_are_sums_over_the_steps():
    rollout, found = small.runner("Pendulum-v1", num_envs=2, rollout_length=8).collect(8)
    clipped = int((abs(rollout.columns["value"]) > 1).sum())
    assert clipped and found["step_sums"]["action_clip_fraction"] == clipped


def test_a_runner_without_a_policy_is_not_healthy():
    runner = small.runner("CartPole-v1", num_envs=2, rollout_length=8)
    runner.assert_healthy()
    runner.module = None
    with pytest.raises(RuntimeError, match="no policy"):
        runner.assert_healthy()
