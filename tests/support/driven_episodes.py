# pyright: basic
"""Whole episodes of CausalOptimisation by an agent."""

from typing import Any

import numpy as np

from envs.causal.optimisation import baselines as baselines
from envs.causal.optimisation.params import Params
from envs.causal.optimisation.world import CausalOptimisation
from envs.contract import counter_rng


def play(agent, copies=64, seed=0, **fields: Any):
    """The world, the last step of one episode of an agent, and its rewards [T, B]."""
    world = CausalOptimisation(Params(**fields))
    state, _ = world.reset(counter_rng.make_keys(seed, copies))
    keys, rewards = counter_rng.make_keys(77, copies), []
    for t in range(world.params.interventions):
        step = world.step(state, agent(world, state, counter_rng.fold(keys, t)))
        state = step.state
        rewards.append(step.reward)
    return world, step, np.array(rewards)


def score(agent, metric="episode_mean", **fields: Any):
    return float(play(agent, **fields)[1].info[metric].mean())
