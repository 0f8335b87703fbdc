"""In our worlds a step is a pure function: several actions can be tried from the same state."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from algos.models.base import observation_columns
from envs import random
from envs.arrays import take
from tune_jobs.health.check.acting import Actor, stacked
from tune_jobs.health.check.statistics import Pairs, paired

COPIES, STEPS = 64, 6
"""States that are tried: so many copies at each of so many steps."""


def immediate(world: Any) -> dict[str, Pairs]:
    """Rewards of two actions from the same states, each tried twice.

    ``step`` with the state's own randomness, which makes the two tries equal; ``step_fresh_noise``
    with other randomness for each try, which shows how much of the reward is luck.
    """
    state, observation = world.reset(random.seeded(np.arange(COPIES, dtype=np.uint64)))
    actors = [
        [Actor(world.action_space, 4 * (2 * b + way)) for b in range(COPIES)] for way in (0, 1)
    ]
    found: dict[str, list[Any]] = {"step": [], "step_fresh_noise": []}
    for step in range(STEPS):
        columns = observation_columns(observation)
        rows = [{name: c[b] for name, c in columns.items()} for b in range(COPIES)]
        actions = [stacked(a.act(row) for a, row in zip(way, rows, strict=True)) for way in actors]
        found["step"].append(_tried(world, state, actions, None))
        found["step_fresh_noise"].append(_tried(world, state, actions, step))
        moved = world.step(state, actions[0])
        going = ~(moved.terminated | moved.truncated)
        if not going.all():  # those that ended begin anew elsewhere; the others are enough
            break
        state, observation = moved.state, moved.observation
    return {name: paired(np.concatenate(parts)) for name, parts in found.items()}


def _tried(world: Any, state: Any, actions: list[Any], step: int | None) -> Any:
    """Rewards [B, 2 actions, 2 tries]."""
    rewards: list[list[Any]] = []
    for way, action in enumerate(actions):
        tries: list[Any] = []
        for again in (0, 1):
            own = state
            if step is not None:
                # A number of its own for each step, action and try, beyond any that worlds use.
                number = 2**40 + 4 * step + 2 * way + again
                own = dataclasses.replace(state, keys=random.fold(state.keys, number))
            tries.append(np.asarray(world.step(take(own, np.arange(COPIES)), action).reward))
        rewards.append(tries)
    return np.array(rewards).transpose(2, 0, 1)
