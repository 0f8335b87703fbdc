# pyright: basic
"""Figures of finished episodes: which count, and what an absent success means."""

import gymnasium
import numpy as np
import pytest
import small
from gymnasium.spaces import Box, Discrete

from algos.rollouts.finished_episodes import FinishedEpisodes, merge_figures

ALL = np.ones(3, bool)


class Lottery(gymnasium.Env):
    """An episode of one step; every third is a success, which the info names by ``how``."""

    observation_space, action_space = Box(0, 1, (1,)), Discrete(2)

    def __init__(self, how="always"):
        self.how, self.count = how, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.count += 1
        won = self.count % 3 == 0
        info = {
            "always": {"success": won},
            "reached": {"success": True} if won else {},
            "array": {"success": np.array([won])},
            "text": {"success": "goal" if won else "crash"},
            "none": {"success": None},
        }[self.how]
        return np.zeros(1, np.float32), float(won), True, False, info


gymnasium.register("EveryThirdWins-v0", lambda **kwargs: Lottery(**kwargs))


@pytest.mark.parametrize("how", ["always", "reached", "array"])
def test_a_success_named_only_where_reached_is_a_failure_elsewhere(how):
    runner = small.runner("EveryThirdWins-v0", {"how": how}, num_envs=2, rollout_length=6)
    for length in (6, 2):  # the second rollout has no success: that is known from the first
        rollout, statistics = runner.collect(length)
        assert statistics["episodes"]["success"].mean() == pytest.approx(rollout.rewards.mean())
        assert rollout.success is not None


class Search(gymnasium.Env):
    """An episode may end by success, which the info names then; some fail without a word."""

    observation_space, action_space = Box(0, 1, (1,)), Discrete(2)
    fails = False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        won = self.np_random.random() < 0.2
        over = won or (self.fails and self.np_random.random() < 0.3)
        return np.zeros(1, np.float32), float(won), over, False, {"is_success": True} if won else {}


class Failing(Search):
    """Of which some fail."""

    fails = True


def failing_next_step(num_envs=1, **kwargs):
    """As a vector environment that resets in the step after the end, and says nothing then."""
    mode = gymnasium.vector.AutoresetMode.NEXT_STEP
    return gymnasium.vector.SyncVectorEnv([Failing] * num_envs, autoreset_mode=mode)


gymnasium.register("Search-v0", lambda **kwargs: Search(**kwargs))
gymnasium.register("FailingNextStep-v0", vector_entry_point=failing_next_step)


def test_an_episode_that_is_cut_off_without_success_is_a_failure():
    chosen = {"num_envs": 20, "group_size": 2, "rollout_length": 4}
    runner = small.runner("Search-v0", algo="grpo", **chosen)
    for _ in range(2):
        rollout, statistics = runner.collect(4)
        won = rollout.returns(1.0)
        assert 0 < won.mean() < 1
        assert sorted(statistics["episodes"]["success"]) == sorted(won)
        assert rollout.success is not None
        assert rollout.success.tolist() == won.tolist()


def test_an_end_of_which_nothing_is_said_is_a_failure():
    runner = small.runner("FailingNextStep-v0", num_envs=2, rollout_length=100)
    rollout, statistics = runner.collect(100)
    success = statistics["episodes"]["success"]
    assert 0 < success.sum() == rollout.rewards[rollout.valid].sum() < len(success)
    assert len(success) == rollout.done.sum()


@pytest.mark.parametrize("how", ["text", "none"])
def test_a_success_that_is_no_number_is_not_read(how):
    rollout, statistics = small.runner("EveryThirdWins-v0", {"how": how}).collect(6)
    assert "success" not in statistics["episodes"] and rollout.success is None


def test_a_figure_is_that_of_the_episodes_that_have_it():
    finished = FinishedEpisodes(("score",), 3, reports_success=False)
    finished.record({"score": np.array([5.0, 0, 7]), "_score": np.array([True, False, True])}, ALL)
    finished.record({"score": np.array([None, "bad", 9], object)}, ALL)
    assert finished.concatenate()["score"].tolist() == [5, 7, 9]


def test_a_runner_without_a_success_has_had_failures():
    parts = [
        {"success": np.array([1.0, 0.0]), "episode_return": np.ones(2)},
        {"episode_return": np.ones(3)},
        {},
    ]
    assert merge_figures(parts)["success"].tolist() == [1, 0, 0, 0, 0]
    assert "success" not in merge_figures(parts[1:])
