"""Conformance: checks that an algorithm can be trained on an environment.

:func:`examine` runs Gymnasium's checker and then plays random episodes, looking for what breaks
training hours later: observations outside their space, rewards that are not finite, episodes that
differ under the same seed, exceptions in the middle of a run. It needs no algorithm.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeAlias, cast

import gymnasium
import numpy as np

from envs.checking.determinism import check_same_seed
from envs.checking.guarded_calls import call_guarded, locate_violations, reset_env, take_step
from envs.checking.gymnasium_check import run_gymnasium_check
from envs.checking.mask_check import CheckedMask
from envs.checking.observation_check import ObservationCheck
from envs.contract.action_masks import sample_legal
from envs.contract.counter_rng import derive_seed
from envs.contract.violations import BrokenEnvironmentError, Clock, TimeLimitError, Violation
from rungwise.success import SUCCESS_NAMES, read_number

Make: TypeAlias = Callable[[], gymnasium.Env[Any, Any]]

FEW_STEPS = 20
"""Steps of random play that are too few to say that nothing was found."""


@dataclasses.dataclass(frozen=True)
class Conformance:
    """The rules that are broken, and those that there was no time for."""

    violations: list[Violation]
    """At most one of each rule, Gymnasium's findings first."""
    cut_short: dict[str, str]
    """Reason by rule for those that were not judged."""


def examine(
    make: Make,
    episodes: int = 200,
    max_steps: int = 20_000,
    seconds: float = 60.0,
    clock: Clock = time.monotonic,
) -> Conformance:
    """Check an environment; list violations and rules that there was no time for.

    Args:
        make: makes the environment.
        episodes: random episodes to play at most.
        max_steps: steps to play at most.
        seconds: time after which no further step is taken.
        clock: the clock of this time.
    """
    violations: list[Violation] = []
    cut: dict[str, str] = {}
    started = clock()
    # Shares of the time limit: a slow environment must leave time for random play.
    for rule, check, share in (
        ("gymnasium_check", run_gymnasium_check, 0.4),
        ("same_seed", check_same_seed, 0.7),
    ):
        try:
            deadline = started + share * seconds
            violations += _collect_violations(
                lambda check=check, deadline=deadline: check(make, deadline, clock)
            )
        except TimeLimitError as why:
            cut[rule] = str(why)
    deadline = started + seconds
    try:
        steps = _random_episodes(make, episodes, max_steps, deadline, violations, clock)
        if steps < FEW_STEPS and clock() > deadline:
            cut["random_play"] = f"there was time for only {steps} of its steps"
    except BrokenEnvironmentError as broken:
        violations.append(broken.violation)
    # Reversed, because a dict keeps the last value: of several violations of a rule this is the
    # first.
    return Conformance(list({v.rule: v for v in reversed(violations)}.values())[::-1], cut)


def check_random_play(
    make: Make, episodes: int, max_steps: int, seconds: float, clock: Clock = time.monotonic
) -> list[Violation]:
    """Play random episodes of legal actions; return the first violation, if any, and the notes.

    The part of :func:`examine` that every training needs. A violation comes first.
    """
    deadline = clock() + seconds
    notes: list[Violation] = []
    try:
        _random_episodes(make, episodes, max_steps, deadline, notes, clock)
    except BrokenEnvironmentError as broken:
        return [broken.violation, *notes]
    return notes


def _collect_violations(check: Callable[[], list[Violation] | None]) -> list[Violation]:
    try:
        return check() or []
    except BrokenEnvironmentError as broken:
        return [broken.violation]


def _random_episodes(
    make: Make,
    episodes: int,
    max_steps: int,
    deadline: float,
    notes: list[Violation],
    clock: Clock,
) -> int:
    """Play until a limit is reached, but at least one step; return the steps taken.

    What is no violation but worth a note is added to ``notes``.
    """
    env = call_guarded("make", make)
    env.action_space.seed(derive_seed(0, "actions"))
    step, mask, check = 0, None, ObservationCheck(env.observation_space, notes)
    with closing(env), locate_violations(env):
        for episode in range(episodes):
            observation, info = reset_env(env, episode, step or None)
            check.judge(observation, "reset()", step or None)
            if mask is None:
                mask = CheckedMask(env, observation, info)
                notes += mask.notes
            first, done = step, False
            legal = mask.read(observation, info, 0)
            while not done:
                if step >= max_steps or (step and clock() > deadline):
                    return step
                step += 1
                action = sample_legal(env.action_space, legal)
                observation, reward, terminated, truncated, info = take_step(env, action, step)
                _check_reward(reward, step)
                if not any(note.rule == "results_cast" for note in notes):
                    notes += _find_cast_results((reward, terminated, truncated), step)
                check.judge(observation, "step()", step)
                done = terminated or truncated
                legal = mask.read(observation, info, step - first, ended=bool(done))
            if not any(note.rule == "success_unread" for note in notes):
                notes += _find_unread_success(info, step)
    return step


def _check_reward(reward: object, step: int) -> None:
    if isinstance(reward, np.ndarray | list | tuple) and np.size(reward) > 1:
        raise BrokenEnvironmentError(
            Violation(
                "reward_is_vector",
                f"Expected one number as the reward, but step {step} gave {np.size(reward)}: weigh "
                "the objectives, for example with MO-Gymnasium's wrapper LinearReward "
                "(mo_gymnasium.wrappers.LinearReward(env, weight=...)).",
                step,
            )
        )
    number = read_number(reward)
    if number is None or not np.isfinite(number):
        raise BrokenEnvironmentError(
            Violation(
                "reward_finite",
                f"Expected a finite number as the reward, but step {step} gave {reward!r} "
                f"({type(reward).__name__}): look for a division by zero or a logarithm of it, and "
                "return float(reward).",
                step,
            )
        )


def _find_cast_results(results: tuple[object, object, object], step: int) -> list[Violation]:
    """Return a note if a reward or an end is of another type than that of which it is taken."""
    reward, *ends = results
    if not isinstance(reward, np.ndarray) and all(isinstance(e, bool | np.bool_) for e in ends):
        return []
    return [
        Violation(
            "results_cast",
            f"Expected a number as the reward and true or false as the ends, but step {step} gave "
            f"{results}: training takes float(reward), bool(terminated) and bool(truncated).",
            step,
            "note",
        )
    ]


def _find_unread_success(info: object, step: int) -> list[Violation]:
    """Return a note if the last info of an episode names its success as something unreadable."""
    entries = cast("dict[str, Any]", info) if isinstance(info, dict) else {}
    return [
        Violation(
            "success_unread",
            f"Expected a truth value as info[{name!r}], but the episode that ended at step {step} "
            f"gave {entries[name]!r} ({type(entries[name]).__name__}): its success is not counted; "
            "give True or False.",
            step,
            "note",
        )
        for name in SUCCESS_NAMES
        if name in entries and read_number(entries[name]) is None
    ]
