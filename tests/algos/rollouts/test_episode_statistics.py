# pyright: basic
"""Statistics of episodes and rollouts, of one runner and of several."""

import json

import naive
import numpy as np
import pytest
import small
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from algos.rollouts.episode_statistics import (
    MOST_CHOICES,
    EpisodeStatistics,
    RolloutStatistics,
    compute_environment_metrics,
    merge_statistics,
    of_step,
)
from algos.rollouts.rollout import Rollout


def summarise(collected, columns, rewards, done, valid, truncated=None):
    """The statistics of a rollout in which, by default, no time limit ended an episode."""
    nothing = np.zeros(rewards.shape)
    return collected.summarise(
        Rollout(columns, rewards, nothing, nothing, done, valid),
        np.zeros(done.shape, bool) if truncated is None else truncated,
    )


def collected(steps, part):
    """The statistics of a runner that has only some of the copies of these steps [T, B]."""
    valid = np.ones((len(steps["rewards"]), len(part)), bool)
    own = {name: column[:, part] for name, column in steps.items()}
    found = RolloutStatistics(EpisodeStatistics(len(part), ("score",)), choices=3)
    for t in range(len(valid)):
        infos = {"score": own["score"][t], "reward_before_bonus": own["base"][t]}
        found.record_step(infos, own["done"][t])
    told = summarise(found, {"choice": own["choice"]}, own["rewards"], own["done"], valid)
    return told | {"sample_s": 1.0, "condition": own_condition(own, part)}


def own_condition(own, part):
    return compute_environment_metrics({"obs": own["base"]}, own["rewards"], np.asarray(part), {})


def test_statistics_of_two_runners_merge_to_those_of_one():
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
    never = merge_statistics([collected(steps | {"choice": np.zeros(shape, int)}, [0])])
    assert never["choice_fractions"] == [1, 0, 0]  # a choice never taken counts as well
    assert json.dumps(one)  # plain numbers, ready for a row of a file


@settings(derandomize=True, max_examples=60)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 99), st.booleans())
def test_returns_and_lengths_agree_with_a_loop_over_steps(T, B, seed, sick):
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(2 * T, B))
    if sick:  # it belongs to one episode
        rewards[rng.integers(2 * T), rng.integers(B)] = np.nan
    done, valid = rng.random((2, 2 * T, B)) < np.array([0.3, 0.9])[:, None, None]
    running = EpisodeStatistics(B)
    found = [
        summarise(RolloutStatistics(running, 1), {}, rewards[part], done[part], valid[part])[
            "episodes"
        ]
        for part in (slice(0, T), slice(T, 2 * T))
    ]
    returns, lengths = naive.episodes(rewards, done, valid)
    seen = [e for e in found if e]
    # NumPy sorts NaN to the end.
    gathered = np.sort([x for e in seen for x in e["episode_return"]])
    assert gathered == pytest.approx(np.sort(returns), nan_ok=True)
    assert sorted(x for e in seen for x in e["episode_length"]) == lengths


@pytest.mark.parametrize(
    ("rewards", "zeros"),
    [([0, 1e-3, 0], 2), ([0, 1e-3, 1], 2), ([1e-6, 1e-3, -1e-4], 1), ([0, 0], 2)],
)
def test_rewards_count_as_zero_by_the_scale_of_the_task(rewards, zeros):
    column = np.array(rewards, float)[:, None]
    valid = np.ones_like(column, bool)
    found = summarise(RolloutStatistics(EpisodeStatistics(1), 1), {}, column, ~valid, valid)
    assert found["zero_rewards"] == zeros


def test_merged_statistics_worked_out_by_hand():
    # One copy: rewards 1, 0.005 and 3; the first two are an episode; choices 0, 2, 2.
    collected = RolloutStatistics(EpisodeStatistics(1), choices=3)
    rewards = np.array([[1], [0.005], [3]])
    done, valid = np.array([[False], [True], [False]]), np.ones((3, 1), bool)
    columns = {"choice": np.array([[0], [2], [2]])}
    # One number that is observed went up to 4 and one never changed; nothing was cut off.
    observed = {"obs": np.array([[[-4.0, 7.0]], [[1.0, 7.0]], [[2.0, 7.0]]])}
    told = compute_environment_metrics(observed, rewards, np.array([1]), {})
    assert told == {
        "observation_abs_max": 7,
        "observation_constant_fraction": 0.5,
        "reward_abs_max": 3,
        "running_length_max": 1,
    }
    further = {"sample_s": 2.0, "condition": told}
    part = summarise(collected, columns, rewards, done, valid) | further
    found = merge_statistics([part])
    assert found["episodes"] == 1 and found["episode_length"] == 2
    assert found["return_mean"] == pytest.approx(1.005)
    assert found["reward_mean"] == pytest.approx(4.005 / 3)
    assert found["reward_std"] == pytest.approx(np.std([1, 0.005, 3]))
    assert found["zero_reward_fraction"] == pytest.approx(1 / 3)
    assert found["rewarded_episode_fraction"] == 1 and found["truncated_fraction"] == 0
    assert found["choice_fractions"] == pytest.approx([1 / 3, 0, 2 / 3])
    assert found["choice_fraction_max"] == pytest.approx(2 / 3)
    # Without a finished episode there is no return, rather than a wrong one.
    empty = RolloutStatistics(EpisodeStatistics(1), choices=3)
    nothing = merge_statistics([summarise(empty, columns, rewards, ~valid, valid) | further])
    assert nothing["episodes"] == 0 and "return_mean" not in nothing


def test_truncated_episodes_are_counted_over_those_of_all_runners():
    valid = np.ones((3, 1), bool)

    def of_runner(done, truncated):
        own = [np.array(ends, bool)[:, None] for ends in (done, truncated)]
        statistics = RolloutStatistics(EpisodeStatistics(1), 1)
        told = summarise(statistics, {}, np.ones((3, 1)), own[0], valid, own[1])
        return told | {"sample_s": 1.0, "condition": {}}

    cut, none = of_runner([1, 1, 1], [1, 1, 1]), of_runner([0, 0, 0], [0, 0, 0])
    mixed = of_runner([0, 1, 0], [0, 0, 0])
    assert merge_statistics([cut, none, mixed])["truncated_fraction"] == 0.75
    assert "truncated_fraction" not in merge_statistics([none, none])


def test_only_constant_fractions_are_the_smallest_of_the_runners():
    ones = np.ones((4, 2))
    parts = []
    for clipped, steps, constant in ((1.0, 2, 0.5), (0.0, 6, 1.0)):
        found = summarise(RolloutStatistics(EpisodeStatistics(2), 1), {}, ones, ones < 0, ones > 0)
        found |= {"steps": steps, "step_sums": {"action_clip_fraction": clipped * steps}}
        condition = {"observation_constant_fraction": constant}
        parts.append(found | {"sample_s": 1.0, "condition": condition})
    merged = merge_statistics(parts)
    assert merged["action_clip_fraction"] == 0.25
    assert merged["observation_constant_fraction"] == 0.5


def test_zero_rewards_are_those_before_bonuses():
    # A bonus of 1 in every step must not hide that the task itself pays nothing.
    collected = RolloutStatistics(EpisodeStatistics(1), choices=1)
    valid, rewards = np.ones((4, 1), bool), np.ones((4, 1))
    for t in range(4):
        collected.record_step({"reward_before_bonus": np.zeros(1)}, ~valid[t])
    assert summarise(collected, {}, rewards, ~valid, valid)["zero_rewards"] == 4


def test_any_reward_before_bonuses_makes_an_episode_rewarded():
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
        told = summarise(collected, {}, rewards + 1, ends, valid)["episodes"]
        found.append(told["rewarded_episode_fraction"].tolist())
    assert found == [[False], [True, False]]
    assert running.rewarded.tolist() == [0, 1]


def test_episode_metrics_are_the_last_in_both_autoreset_modes():
    ended, valid = np.array([True, False]), np.ones((1, 2), bool)
    for infos in ({"score": np.array([5, 6])}, {"final_info": {"score": np.array([5, 0])}}):
        collected = RolloutStatistics(EpisodeStatistics(2, ("score",)), choices=1)
        collected.record_step(infos | {"other": 1}, ended)
        found = summarise(collected, {}, np.zeros((1, 2)), ended[None], valid)
        assert found["episodes"]["score"].tolist() == [5]


def test_world_metrics_are_reported_for_finished_episodes():
    built = small.runner("envs:CausalLearning-v0", rollout_length=60)
    _, statistics = built.sample()
    names = built.env.world.episode_metrics
    assert names and set(names) <= set(statistics["episodes"])
    count = len(statistics["episodes"]["episode_return"])
    assert count > 0 and all(len(statistics["episodes"][name]) == count for name in names)


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
    found = summarise(collected, {}, np.zeros((1, 2)), ended[None], np.ones((1, 2), bool))
    assert found["zero_rewards"] == 0


@pytest.mark.parametrize("name", ["success", "is_success"])
def test_success_is_that_of_each_copys_last_finished_episode(name):
    statistics = RolloutStatistics(EpisodeStatistics(3, (name, "length")), 0)
    statistics.record_step({"length": np.ones(3)}, np.array([True, False, False]))
    assert statistics.finished.last_success is None
    statistics.record_step({name: np.array([1.0, 1.0, 0.0])}, np.array([True, False, True]))
    statistics.record_step({name: np.array([0.0, 1.0, 1.0])}, np.array([True, False, False]))
    assert (
        statistics.finished.last_success is not None
        and statistics.finished.last_success.tolist() == [0, 0, 0]
    )
    statistics.record_step({name: np.array([0.0, 1.0, 1.0])}, np.array([False, True, False]))
    assert statistics.finished.last_success.tolist() == [0, 1, 0]


def test_lists_average_over_episodes_and_entries_over_steps():
    done = np.array([[False, True], [True, False]])
    losses = np.arange(12.0).reshape(2, 2, 3)
    bonus = np.array([[1.0, 2.0], [3.0, 10.0]])
    valid = np.array([[True, True], [True, False]])
    parts = []
    for copies in ([0], [1]):
        found = RolloutStatistics(EpisodeStatistics(1, ("node_excess",), ("bonus",)), choices=0)
        for t in range(2):
            infos = {"node_excess": losses[t][copies], "bonus": bonus[t][copies]}
            found.record_step(infos, done[t][copies])
        rewards = np.ones((2, 1), np.float32)
        own = summarise(found, {}, rewards, done[:, copies], valid[:, copies])
        condition = own_condition({"base": rewards, "rewards": rewards}, [1])
        parts.append(own | {"sample_s": 1.0, "condition": condition})
    merged = merge_statistics(parts)
    # Episodes end in copy 1 at step 0 and in copy 0 at step 1; a step that only reset is left out.
    assert merged["node_losses"] == ((losses[0, 1] + losses[1, 0]) / 2).tolist()
    assert merged["bonus"] == pytest.approx((1 + 2 + 3) / 3)


def test_the_words_of_a_language_model_are_not_counted():
    columns, ones = {"choice": np.zeros((1, 1), np.int64)}, np.ones((1, 1), bool)
    for choices, counted in ((MOST_CHOICES, True), (MOST_CHOICES + 1, False)):
        collected = RolloutStatistics(EpisodeStatistics(1), choices)
        assert ("choices" in summarise(collected, columns, np.ones((1, 1)), ones, ones)) == counted


@pytest.mark.parametrize(("dtype", "largest"), [(np.bool_, 1), (np.uint8, 1), (np.int64, 255)])
def test_pixels_are_observed_numbers_and_bytes_count_as_scaled(dtype, largest):
    pixels = np.zeros((4, 2, 3, 3), dtype)
    pixels[1, 0, 2, 2] = 255
    found = compute_environment_metrics({"obs": pixels}, np.zeros((4, 2)), np.ones(2), {})
    assert found["observation_abs_max"] == largest
    assert found["observation_constant_fraction"] == pytest.approx(8 / 9)


def test_an_observed_category_has_no_size():
    place, speed = np.array([[499, 498], [0, 0]]), np.array([[-3.0, 1.0], [0, 0]])
    observed = {"obs.place": spaces.MultiDiscrete([500, 500]), "obs.speed": spaces.Box(-9, 9, (1,))}
    found = compute_environment_metrics(
        {"obs.place": place, "obs.speed": speed}, np.zeros((2, 2)), np.ones(2), observed
    )
    assert found["observation_abs_max"] == 3
    assert found["observation_constant_fraction"] == 0
