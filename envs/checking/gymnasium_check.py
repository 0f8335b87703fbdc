"""Gymnasium's own checker, without its false positives."""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import gymnasium
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from envs.adapters.plain_results import read_flag
from envs.checking.guarded_calls import (
    call_guarded,
    locate_violations,
    make_violation,
    note_interrupts,
)
from envs.checking.guarded_import import guard_exit
from envs.contract.action_masks import Mask, find_mask, is_legal, sample_legal
from envs.contract.counter_rng import derive_seed
from envs.contract.violations import BrokenEnvironmentError, Clock, TimeLimitError, Violation
from rungwise.user_frames import is_raised_by

SEED = 123
"""Seed that the checker gives action spaces."""


def run_gymnasium_check(
    make: Callable[[], gymnasium.Env[Any, Any]], deadline: float, clock: Clock = time.monotonic
) -> None:
    """Run Gymnasium's checker until a time of this clock.

    Raises:
        BrokenEnvironmentError: a violation, or an exception of the environment.
        TimeLimitError: the deadline came before the end of the check.
    """
    env = call_guarded("make", make)
    try:
        with locate_violations(env), _raise_violations(), warnings.catch_warnings():
            # Gymnasium warns about style (unbounded boxes); only its errors are violations.
            warnings.simplefilter("ignore")
            formal = _CheckedEnv(_strip_layers(env), deadline, clock)
            check_env(formal, skip_render_check=True, skip_close_check=True)
    finally:
        env.close()


def _strip_layers(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Return the environment without what ``gymnasium.make`` puts around it.

    Those wrappers would raise before the checker can name the fault; others belong to it.
    """
    while isinstance(env, PassiveEnvChecker | OrderEnforcing | TimeLimit):
        env = env.env
    return env


@contextmanager
def _raise_violations() -> Generator[None]:
    """Turn what Gymnasium's checker raises into violations."""
    try:
        with guard_exit():
            yield
    except TimeLimitError:
        raise
    except (Exception, SystemExit) as error:
        if not is_raised_by(error, "gymnasium"):
            raise BrokenEnvironmentError(
                make_violation("reset() or step()", error, None)
            ) from error
        reason = str(error).strip() or type(error).__name__
        sentence = f"Gymnasium's check_env expects otherwise: {reason}"
        raise BrokenEnvironmentError(
            Violation("gymnasium_check", sentence, severity="warn")
        ) from error


class _CheckedEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment as Gymnasium's checker should see it.

    The checker compares ``info``, which no training reads, takes numpy's false for an end, and
    draws actions without a mask.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], deadline: float, clock: Clock) -> None:
        super().__init__(env)
        self.mask: Mask | None = None
        self.deadline, self.clock = deadline, clock
        self.started, self.calls = clock(), 0
        inner = env.reset

        def reset(*args: object, **kwargs: object) -> Any:
            self._count()
            # Training gives no options, and those that an environment asks for are unknown here.
            kwargs = {name: value for name, value in kwargs.items() if value != {}}
            with note_interrupts("reset()"):
                result = inner(*args, **kwargs)
            self._note(result)
            return result

        # The checker looks at the signature of the environment's own.
        reset.__signature__ = inspect.signature(inner)  # pyright: ignore[reportFunctionMemberAccess]
        self.reset = reset

    def step(self, action: object) -> Any:
        """Take a legal action; the same for the same action and mask."""
        self._count()
        space = self.env.action_space
        if self.mask is not None and not is_legal(space, self.mask.legal, action):
            # Seeded anew for each draw: the checker steps two copies and expects equal actions to
            # stay equal.
            space.seed(derive_seed(SEED, "legal actions"))
            action = sample_legal(space, self.mask.legal)
        with note_interrupts("step()"):
            result: Any = self.env.step(action)
        self._note(result)
        if not isinstance(result, tuple) or len(cast("tuple[Any, ...]", result)) != 5:
            return cast("Any", result)
        observation, reward, terminated, truncated, info = cast("tuple[Any, ...]", result)
        flags = (read_flag(terminated), read_flag(truncated))
        ends = (terminated, truncated) if None in flags else flags
        return observation, reward, *ends, {} if isinstance(info, dict) else info

    def _count(self) -> None:
        if self.clock() > self.deadline:
            spent = self.clock() - self.started
            raise TimeLimitError(
                f"there was no time for all of it: {self.calls} calls of reset() and step() took "
                f"{spent:.1f} s"
            )
        self.calls += 1

    def _note(self, result: object) -> None:
        if isinstance(result, tuple) and len(cast("tuple[Any, ...]", result)) > 1:
            parts = cast("tuple[Any, ...]", result)
            self.mask = find_mask(self.env, parts[0], parts[-1])
