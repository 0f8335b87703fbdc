"""Determinism: the same seed and actions must give the same episode."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import gymnasium
import numpy as np

from envs.checking.guarded_calls import call_guarded, locate_violations, reset_env, take_step
from envs.contract.action_masks import find_mask, sample_legal
from envs.contract.counter_rng import derive_seed
from envs.contract.violations import BrokenEnvironmentError, Clock, TimeLimitError, Violation

SEED = 7
"""Seed of the episode that is played twice."""
STEPS = 50
"""Largest number of its steps that are played."""
TOLERANCE = 1e-5
"""Absolute and relative difference up to which arrays of observations and infos are equal."""


def check_same_seed(
    make: Callable[[], gymnasium.Env[Any, Any]], deadline: float, clock: Clock = time.monotonic
) -> list[Violation]:
    """Play the start of an episode twice, in two environments, until a time of this clock.

    Returns:
        A note if the infos differed, which no training reads.

    Raises:
        BrokenEnvironmentError: observations, rewards or ends differed.
        TimeLimitError: the environment is registered as nondeterministic.
    """
    _require_time(deadline, clock)
    first = call_guarded("make", make)
    try:
        if first.spec is not None and first.spec.nondeterministic:
            raise TimeLimitError("the environment is registered as nondeterministic")
        _require_time(deadline, clock)
        second = call_guarded("make", make)
        try:
            with locate_violations(first):
                return _play_twice(first, second, deadline, clock)
        finally:
            second.close()
    finally:
        first.close()


def _require_time(deadline: float, clock: Clock) -> None:
    """Refuse to begin a call of a slow environment after the deadline.

    Raises:
        TimeLimitError: the deadline is over.
    """
    if clock() > deadline:
        raise TimeLimitError("there was no time to play an episode twice")


def _play_twice(
    first: gymnasium.Env[Any, Any], second: gymnasium.Env[Any, Any], deadline: float, clock: Clock
) -> list[Violation]:
    left = reset_env(first, seed=SEED)
    _require_time(deadline, clock)
    right = reset_env(second, seed=SEED)
    # Only one space is sampled, and both environments get its action. A derived seed keeps actions
    # independent of the environment's numbers.
    first.action_space.seed(derive_seed(SEED, "actions"))
    informal: list[Violation] = []
    for step in range(STEPS + 1):
        if not _are_equal(left[0], right[0], TOLERANCE):
            raise BrokenEnvironmentError(
                Violation(
                    "same_seed",
                    f"Expected the same episode twice from seed {SEED} and the same actions, but "
                    f"the observations differ at step {step}: draw every random number from "
                    "self.np_random after super().reset(seed=seed).",
                    step,
                    "warn",
                )
            )
        # Rewards and flags must be equal exactly; the reset returns neither, so the slice is empty
        # there.
        if not _are_equal(left[1:-1], right[1:-1]):
            raise BrokenEnvironmentError(
                Violation(
                    "same_seed",
                    f"Expected the same reward and ends twice from seed {SEED}, but got "
                    f"{left[1:-1]} and {right[1:-1]} at step {step}: draw every random number from "
                    "self.np_random.",
                    step,
                    "warn",
                )
            )
        if not informal and (names := _list_differences(left[-1], right[-1])):
            informal.append(_info_violation(names, step))
        if (step and (left[2] or left[3])) or clock() > deadline:
            break
        mask = find_mask(first, left[0], left[-1])
        action = sample_legal(first.action_space, mask and mask.legal)
        left, right = take_step(first, action, step + 1), take_step(second, action, step + 1)
    return informal


def _list_differences(a: object, b: object) -> list[str]:
    """List the entries in which two infos differ."""
    if not (isinstance(a, Mapping) and isinstance(b, Mapping)):
        return []
    first, second = cast("Mapping[Any, Any]", a), cast("Mapping[Any, Any]", b)
    return [
        repr(name)
        for name in {**first, **second}
        if name not in first
        or name not in second
        or not _have_same_value(first[name], second[name])
    ]


def _have_same_value(a: object, b: object) -> bool:
    try:
        return _are_equal(a, b, TOLERANCE)
    except Exception:  # a comparison of the user's own objects that fails or has no single answer
        return False


def _are_equal(a: Any, b: Any, tolerance: float = 0.0) -> bool:
    """Return whether two values, or trees of them, are equal; NaN equals NaN.

    Not Gymnasium's ``data_equivalence``, which raises at arrays of text and by which no NaN equals
    another.
    """
    if type(a) is not type(b):
        return False
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_are_equal(a[name], b[name], tolerance) for name in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(
            _are_equal(*pair, tolerance) for pair in zip(a, b, strict=True)
        )
    if not isinstance(a, np.ndarray):
        # Exactly: times of two plays may differ by less than the tolerance.
        both_nan = isinstance(a, float | np.floating) and np.isnan(a) and np.isnan(b)
        return bool(both_nan or a == b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype == object:
        return _are_equal(a.ravel().tolist(), b.ravel().tolist(), tolerance)
    if np.issubdtype(a.dtype, np.number):
        return np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
    return np.array_equal(a, b)


def _info_violation(names: list[str], step: int) -> Violation:
    when = f"step {step}" if step else "the reset"
    return Violation(
        "info_differs",
        f"played twice from seed {SEED} with the same actions, info differed in "
        f"{', '.join(names[:4])} at {when}: such as timings, or objects that equal nothing else",
        step or None,
        "note",
    )
