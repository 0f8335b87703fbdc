"""Whole episodes, one in each copy of an environment: the one loop that plays them.

Evaluations, videos, checks and warm starts differ in what they note of a step, so the loop yields
its steps: of a batched world, a vector environment, or a single environment (whose arrays [B] then
have no axis). A caller that has seen enough, or has no time left, leaves the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from envs.contract.agents import PRESENT
from envs.contract.pytree import Array, Bools
from envs.contract.world import Step

AnyEnv: TypeAlias = VectorEnv[Any, Any, Any] | gymnasium.Env[Any, Any]
Choose: TypeAlias = Callable[[Any, Any, int], Any]
"""(state, observations [B], number of the step) -> actions [B]."""

REPORT_INTERVAL = 100
"""Steps between two reports of progress while no episode finishes."""


class EnvStep(NamedTuple):
    """The result of a step of a Gymnasium environment, named as that of a world."""

    state: Bools | None
    """In place of a state, the rows [B] whose agents are in their game; None: all."""
    observation: Any
    reward: Any
    terminated: Any
    truncated: Any
    info: Any


class EpisodeStep(NamedTuple):
    """One step of B copies; those whose episode has ended take part without effect."""

    number: int
    """How many steps came before it."""
    state: Any
    """State of the world that was acted on; of an environment that of :class:`EnvStep`."""
    observation: Any
    """The observation that was acted on."""
    action: Any
    moved: Step[Any] | EnvStep
    """The result of the step, for all copies."""
    running: Bools
    """[B]: the copies whose first episode had not ended before this step."""
    ended: Bools
    """[B]: the copies whose first episode ended with it."""
    left: int
    """How many copies are still in their first episode."""


def play_episodes(
    start: tuple[Any, Any],
    step: Callable[[Any, Any], Step[Any] | EnvStep],
    act: Choose,
    most_steps: int | None = None,
) -> Iterator[EpisodeStep]:
    """Play the first episode of each copy until all have ended; yield every step.

    All copies are stepped until the last one has ended: the random numbers of a world belong to its
    copies, so that an episode is the same in a batch of any size, and none is left out for being
    longer than others.

    Args:
        start: the first state and observation: ``world.reset(keys)`` or ``start_env(env, seed)``.
        step: ``world.step`` or ``step_env(env)``.
        act: the player.
        most_steps: steps after which the episodes that have not ended are left.
    """
    state, observation = start
    running: Bools = np.ones((), bool)
    number, left = 0, 1
    while left and (most_steps is None or number < most_steps):
        action = act(state, observation, number)
        moved = step(state, action)
        over = np.logical_or(moved.terminated, moved.truncated)
        if not number:
            running = np.ones_like(over)
        going = running & ~over
        left = int(np.count_nonzero(going))
        yield EpisodeStep(number, state, observation, action, moved, running, running & over, left)
        state, observation, running, number = moved.state, moved.observation, going, number + 1


def start_env(env: AnyEnv, seed: int) -> tuple[Bools | None, Any]:
    """Begin episodes of a Gymnasium environment; copies are seeded with ``seed`` and the next."""
    observation, info = env.reset(seed=seed)
    return info.get(PRESENT), observation


def step_env(env: AnyEnv) -> Callable[[Any, Any], EnvStep]:
    """Return the step of a Gymnasium environment, in any autoreset mode, as a world has it."""

    def step(state: object, action: object) -> EnvStep:
        result = env.step(action)
        return EnvStep(result[-1].get(PRESENT), *result)

    return step


def measure_returns(
    env: VectorEnv[Any, Any, Any],
    act: Callable[[Bools | None, Any], Any],
    seed: int,
    report_progress: Callable[[int, int], None] | None = None,
    most_steps: int | None = None,
) -> tuple[Array, Array]:
    """Return the undiscounted returns [B] and lengths [B] of the first episode of each copy.

    Args:
        env: B copies in any autoreset mode; what a copy does after its end does not count.
        act: (rows [B] of agents that are present or None, observations [B, ...]) -> actions.
        seed: of the reset; Gymnasium seeds the copies with it and the numbers that follow.
        report_progress: called with the number of finished episodes and of steps so far, whenever
            an episode finishes and every 100 steps.
        most_steps: steps after which an episode is cut off, with its return until then.
    """
    returns, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64)
    start, step_all = start_env(env, seed), step_env(env)
    steps = play_episodes(start, step_all, lambda present, o, _: act(present, o), most_steps)
    for step in steps:
        returns += np.where(step.running, step.moved.reward, 0)
        lengths += step.running
        done = step.number + 1
        if report_progress and (step.ended.any() or done % REPORT_INTERVAL == 0):
            report_progress(env.num_envs - step.left, done)
    return returns, lengths
