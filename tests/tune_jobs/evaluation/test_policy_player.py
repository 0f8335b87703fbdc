# pyright: basic, reportArgumentType=false
"""A policy as a player forgets the episodes of one batch before the next."""

import gymnasium
import numpy as np
import pytest
import small

from algos.policy import Policy
from tune_jobs.evaluation.players import play_gym_episodes
from tune_jobs.evaluation.policy_player import PolicyPlayer

MEMORY = [{"frame_stack": 3}, {"memory": "gru", "sequence_length": 8}]


@pytest.mark.parametrize("chosen", MEMORY)
def test_every_batch_of_episodes_begins_without_memory(chosen):
    space = gymnasium.make("CartPole-v1").observation_space
    module = small.module(space, gymnasium.spaces.Discrete(2), scale=1.0, **chosen)
    player = PolicyPlayer(Policy(module, {}), greedy=True)
    played = [
        play_gym_episodes("CartPole-v1", {}, {"policy": player}, 6, seed=0)["policy"].lengths
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*played)


def test_a_player_acts_as_the_policy_that_carries_its_state():
    space = gymnasium.spaces.Box(-1, 1, (2,))
    module = small.module(space, gymnasium.spaces.Discrete(9), scale=1.0, frame_stack=3)
    policy, rng = Policy(module, {}), np.random.default_rng(0)
    player, state = PolicyPlayer(policy, greedy=True), policy.initial_state(5)
    player.start_episodes(5)
    for _ in range(6):
        observations = rng.normal(size=(5, 2)).astype(np.float32)
        expected, state = policy.act_batch(observations, state)
        np.testing.assert_array_equal(player(None, observations, None), expected)
