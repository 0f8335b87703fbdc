"""Guarded calls of an environment: a failure becomes a violation with a message."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import gymnasium
import numpy as np

from envs.adapters.plain_results import read_flag
from envs.checking.guarded_import import describe_exit, guard_exit
from envs.contract.violations import BrokenEnvironmentError, TimeUpError, Violation
from rungwise.user_frames import find_definition, find_user_frame


def reset_env(env: gymnasium.Env[Any, Any], seed: int, step: int | None = None) -> tuple[Any, ...]:
    """Reset; return the observation and the info.

    Raises:
        BrokenEnvironmentError: the call raised or returned something else.
    """
    # Checked by hand: unpacking a wrong result would raise inside of this package, without naming
    # the fault.
    result: object = call_guarded("reset()", lambda: env.reset(seed=seed), step)
    if not isinstance(result, tuple) or len(cast("tuple[Any, ...]", result)) != 2:
        raise BrokenEnvironmentError(
            Violation(
                "reset_returns",
                f"Expected reset() to return (observation, info), but got "
                f"{_describe_result(result)}: end reset() with `return observation, {{}}`.",
                step,
            )
        )
    return cast("tuple[Any, ...]", result)


def take_step(env: gymnasium.Env[Any, Any], action: object, step: int) -> tuple[Any, ...]:
    """Take a step; return its five results.

    Raises:
        BrokenEnvironmentError: the call raised or returned something else.
    """
    result: object = call_guarded("step()", lambda: env.step(action), step)
    if not isinstance(result, tuple) or len(cast("tuple[Any, ...]", result)) != 5:
        raise BrokenEnvironmentError(
            Violation(
                "step_returns",
                "Expected step() to return (observation, reward, terminated, truncated, info), but "
                f"got {_describe_result(result)}: split an old `done` into terminated (the task "
                "ended) and truncated (time ran out).",
                step,
            )
        )
    values = cast("tuple[Any, ...]", result)
    if np.shape(values[1])[:1] == (copies := np.shape(values[2])[:1]) > (1,):
        what = f"Expected one reward and one end, but step {step} gave {copies[0]} of each: "
        what += "step one copy, of which training makes as many as `num_envs` says."
        raise BrokenEnvironmentError(Violation("vector_environment", what, step))
    for name, flag in (("terminated", values[2]), ("truncated", values[3])):
        if read_flag(flag) is None:
            raise BrokenEnvironmentError(
                Violation(
                    "flags_are_bool",
                    f"Expected {name} to be true or false, but step {step} gave {flag!r} "
                    f"({type(flag).__name__}): return bool({name}).",
                    step,
                )
            )
    return values


def _describe_result(result: object) -> str:
    """Describe a result that is not the tuple expected."""
    if isinstance(result, tuple):
        return f"{len(cast('tuple[Any, ...]', result))} values"
    return f"a single {type(result).__name__}"


def call_guarded(source: str, call: Callable[[], Any], step: int | None = None) -> Any:
    """Call a part of an environment (``make``, ``reset()``, ``step()``).

    Raises:
        BrokenEnvironmentError: the call raised.
    """
    try:
        with note_interrupts(source), guard_exit():
            return call()
    except (Exception, SystemExit) as error:
        raise BrokenEnvironmentError(make_violation(source, error, step)) from error


@contextmanager
def locate_violations(env: gymnasium.Env[Any, Any]) -> Generator[None]:
    """Name the line of the method that broke a rule, where no exception names one.

    Raises:
        BrokenEnvironmentError: the one raised inside, with that line.
    """
    try:
        yield
    except BrokenEnvironmentError as broken:
        raise BrokenEnvironmentError(_add_place(broken.violation, env)) from broken


def _add_place(violation: Violation, env: gymnasium.Env[Any, Any]) -> Violation:
    if violation.rule == "raises":
        return violation
    sentence = violation.sentence
    is_of_step = (violation.step or "step()" in sentence) and "reset()" not in sentence
    name = "step" if is_of_step else "reset"
    if (location := find_definition(getattr(type(env.unwrapped), name))) is None:
        return violation
    return dataclasses.replace(
        violation, sentence=f"{sentence.removesuffix('.')} ({name}() is at {location})."
    )


@contextmanager
def note_interrupts(source: str) -> Generator[None]:
    """Note in an interrupt how long this call of the environment alone had been running."""
    started = time.monotonic()
    try:
        yield
    except TimeUpError as cut:
        cut.source, cut.call_s = source, time.monotonic() - started
        raise


def make_violation(source: str, error: BaseException, step: int | None) -> Violation:
    """Describe an exception of an environment, with the line of user code that raised it."""
    frame, cause = find_user_frame(error), error.__cause__
    location = f" ({frame})" if frame else ""
    remedy = "fix that line"
    if source == "reset()" and re.search(
        "unexpected keyword argument '(seed|options)'", str(error)
    ):
        remedy = "define it as reset(self, *, seed=None, options=None)"
    when = f" at step {step}" if step else ""
    why = f", caused by {type(cause).__name__}: {cause}," if cause else ""
    is_exit = isinstance(error, SystemExit)
    what = (
        f"called {describe_exit(error)}" if is_exit else f"raised {type(error).__name__}: {error}"
    )
    told = f"{what}{why}{when}{location}"
    if source == "make":
        return Violation("cannot_be_made", f"Expected an environment, but making it {told}.")
    return Violation(
        "raises",
        f"Expected no exception, but {source} {told}: {remedy}.",
        step,
    )
