# pyright: basic
"""Whole episodes of CausalLearning by an agent."""

import numpy as np

from envs.causal.learning.params import Params
from envs.causal.learning.world import CausalLearning
from envs.contract import counter_rng


def play(agent, copies=256, **fields):
    """The last step of one episode of an agent, its infos and its rewards [T, B]."""
    world = CausalLearning(Params(**fields))
    state, _ = world.reset(counter_rng.make_keys(0, copies))
    keys = counter_rng.make_keys(77, copies)
    infos, rewards = [], []
    for t in range(world.params.interventions):
        step = world.step(state, agent(world, state, counter_rng.fold(keys, t)))
        state = step.state
        infos.append(step.info)
        rewards.append(step.reward)
    return step, infos, np.array(rewards)


def median(agent, **fields):
    step, _, _ = play(agent, **fields)
    return float(np.median(step.info["excess_risk"]))


def always(node, value=None):
    """Set one node, to one value or to any."""

    def agent(world, state, keys):
        position = 2 * counter_rng.uniform(keys) - 1 if value is None else np.full(len(keys), value)
        return {"choice": np.full(len(keys), node), "value": position}

    return agent
