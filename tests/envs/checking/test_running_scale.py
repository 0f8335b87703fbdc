# pyright: basic
"""Wrappers that scale by a running estimate are found in any layer."""

import gymnasium
from gymnasium import wrappers
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import vector

from envs.checking.running_scale import list_running_scales


def make():
    return gymnasium.make("CartPole-v1")


def test_wrappers_are_found_in_single_and_vector_environments():
    env = wrappers.TimeLimit(wrappers.NormalizeReward(wrappers.NormalizeObservation(make())), 9)
    assert list_running_scales(env) == ["NormalizeReward", "NormalizeObservation"]
    batch = SyncVectorEnv([lambda: wrappers.NormalizeReward(make())])
    assert list_running_scales(vector.RecordEpisodeStatistics(batch)) == ["NormalizeReward"]
    outer = vector.RecordEpisodeStatistics(vector.NormalizeReward(SyncVectorEnv([make])))
    assert list_running_scales(outer) == ["NormalizeReward"]
    assert list_running_scales(make()) == []


def test_an_estimate_that_is_held_moves_nothing():
    env = wrappers.NormalizeReward(make())
    env.update_running_mean = False
    assert list_running_scales(env) == []
