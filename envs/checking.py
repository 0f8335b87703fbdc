"""Is this environment one that an algorithm can be trained on? Checks before training, in words.

``conformance`` runs Gymnasium's own checker and then plays random episodes, looking for what breaks
training hours later: observations outside their space, rewards that are not finite, episodes that
differ under the same seed, exceptions in the middle of a run. It needs no algorithm.
"""

from __future__ import annotations

import dataclasses
import site
import sysconfig
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env, data_equivalence


@dataclasses.dataclass(frozen=True)
class Violation:
    """One broken rule."""

    rule: str
    """Its name."""
    sentence: str
    """What was expected, what came, and what to do."""
    step: int | None = None
    """The step of the check at which it showed, from 1; None outside of steps."""


class _BrokenError(Exception):
    """Carries a violation out of the depth of a check."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.sentence)
        self.violation = violation


def conformance(
    make: Callable[[], gymnasium.Env[Any, Any]],
    episodes: int = 200,
    max_steps: int = 20_000,
    seconds: float = 60.0,
) -> list[Violation]:
    """Check an environment; an empty list is a pass.

    Args:
        make: makes the environment.
        episodes: random episodes to play at most.
        max_steps: steps to play at most.
        seconds: time after which no further step is begun.

    Returns:
        At most one violation of each rule, Gymnasium's findings first.
    """
    found: list[Violation] = []
    for check in (_gymnasium_check, _same_seed):
        found += _caught(lambda check=check: check(make))
    found += play(make, episodes, max_steps, seconds)
    return list({violation.rule: violation for violation in reversed(found)}.values())[::-1]


def play(
    make: Callable[[], gymnasium.Env[Any, Any]], episodes: int, max_steps: int, seconds: float
) -> list[Violation]:
    """Play random episodes; the first thing that is wrong with them, if anything is.

    The part of :func:`conformance` that no training can do without.
    """
    deadline = time.monotonic() + seconds
    return _caught(lambda: _random_episodes(make, episodes, max_steps, deadline))


def _caught(check: Callable[[], None]) -> list[Violation]:
    try:
        check()
    except _BrokenError as broken:
        return [broken.violation]
    return []


def _gymnasium_check(make: Callable[[], gymnasium.Env[Any, Any]]) -> None:
    env = _guarded("make", make)
    try:
        with warnings.catch_warnings():
            # Gymnasium warns about style (unbounded boxes); only its errors are violations.
            warnings.simplefilter("ignore")
            check_env(env.unwrapped, skip_render_check=True, skip_close_check=True)
    except Exception as error:
        own = _users_frame(error)
        if not isinstance(error, AssertionError) and own is not None:
            raise _BrokenError(_raised("reset() or step()", error, None)) from error
        reason = str(error).strip() or type(error).__name__
        sentence = f"Gymnasium's check_env expects otherwise: {reason}"
        raise _BrokenError(Violation("gymnasium_check", sentence)) from error
    finally:
        env.close()


def _same_seed(make: Callable[[], gymnasium.Env[Any, Any]]) -> None:
    """Two environments with the same seed and actions must live the same episode."""
    one, two = _guarded("make", make), _guarded("make", make)
    first, again = _reset(one, seed=7), _reset(two, seed=7)
    one.action_space.seed(7)
    for step in range(1, 51):
        if not data_equivalence(first, again):
            raise _BrokenError(
                Violation(
                    "same_seed",
                    "Expected the same episode twice from seed 7 and the same actions, but the "
                    f"observations differ at step {step - 1}: draw every random number from "
                    "self.np_random after super().reset(seed=seed).",
                    step - 1,
                )
            )
        action = one.action_space.sample()
        left, right = _step(one, action, step), _step(two, action, step)
        if left[1:4] != right[1:4]:
            raise _BrokenError(
                Violation(
                    "same_seed",
                    f"Expected the same reward and ends twice from seed 7, but got {left[1:4]} and "
                    f"{right[1:4]} at step {step}: draw every random number from self.np_random.",
                    step,
                )
            )
        first, again = left[0], right[0]
        if left[2] or left[3]:
            break
    one.close()
    two.close()


def _random_episodes(
    make: Callable[[], gymnasium.Env[Any, Any]], episodes: int, max_steps: int, deadline: float
) -> None:
    env = _guarded("make", make)
    env.action_space.seed(0)
    step = 0
    for episode in range(episodes):
        _check_observation(env, _reset(env, episode, step or None), "reset()", step or None)
        done = False
        while not done:
            if step >= max_steps or time.monotonic() > deadline:
                return
            step += 1
            observation, reward, terminated, truncated, _ = _step(
                env, env.action_space.sample(), step
            )
            _check_reward(reward, step)
            _check_observation(env, observation, "step()", step)
            done = terminated or truncated
    env.close()


def _reset(env: gymnasium.Env[Any, Any], seed: int, step: int | None = None) -> Any:
    result: Any = _guarded("reset()", lambda: env.reset(seed=seed), step)
    if not isinstance(result, tuple) or len(cast("tuple[Any, ...]", result)) != 2:
        raise _BrokenError(
            Violation(
                "reset_returns",
                f"Expected reset() to return (observation, info), but got {_shape(result)}: end "
                "reset() with `return observation, {}`.",
                step,
            )
        )
    return cast("tuple[Any, ...]", result)[0]


def _step(env: gymnasium.Env[Any, Any], action: Any, step: int) -> tuple[Any, ...]:
    result: Any = _guarded("step()", lambda: env.step(action), step)
    if not isinstance(result, tuple) or len(cast("tuple[Any, ...]", result)) != 5:
        raise _BrokenError(
            Violation(
                "step_returns",
                "Expected step() to return (observation, reward, terminated, truncated, info), but "
                f"got {_shape(result)}: split an old `done` into terminated (the task ended) and "
                "truncated (time ran out).",
                step,
            )
        )
    values = cast("tuple[Any, ...]", result)
    for name, flag in (("terminated", values[2]), ("truncated", values[3])):
        if not isinstance(flag, bool | np.bool_):
            raise _BrokenError(
                Violation(
                    "flags_are_bool",
                    f"Expected {name} to be true or false, but step {step} gave {flag!r} "
                    f"({type(flag).__name__}): return bool({name}).",
                    step,
                )
            )
    return values


def _check_reward(reward: Any, step: int) -> None:
    number = isinstance(reward, int | float | np.integer | np.floating)
    if not number or not np.isfinite(reward):
        raise _BrokenError(
            Violation(
                "reward_finite",
                f"Expected a finite number as the reward, but step {step} gave {reward!r} "
                f"({type(reward).__name__}): look for a division by zero or a logarithm of it, and "
                "return float(reward).",
                step,
            )
        )


def _check_observation(
    env: gymnasium.Env[Any, Any], observation: Any, source: str, step: int | None
) -> None:
    where = source if step is None else f"{source} at step {step}"
    for name, part in _leaves(observation):
        if np.issubdtype(part.dtype, np.floating) and not np.isfinite(part).all():
            raise _BrokenError(
                Violation(
                    "observation_finite",
                    f"Expected finite observations, but {where} gave NaN or infinity in {name}: "
                    "look for a division by zero, and clip what can grow without limit.",
                    step,
                )
            )
    if observation not in env.observation_space:
        raise _BrokenError(
            Violation(
                "observation_in_space",
                f"Expected an observation inside {env.observation_space}, but {where} gave "
                f"{_difference(env.observation_space, observation)}: widen the space or convert "
                "the observation.",
                step,
            )
        )


def _difference(space: gymnasium.Space[Any], observation: Any) -> str:
    """What about an observation does not fit its space."""
    if isinstance(space, gymnasium.spaces.Dict) and isinstance(observation, dict):
        parts = cast("dict[str, Any]", observation)
        if set(parts) != set(space.spaces):
            return f"the names {sorted(parts)} instead of {sorted(space.spaces)}"
        wrong = next(name for name, inner in space.spaces.items() if parts[name] not in inner)
        return f"in {wrong!r} {_difference(space.spaces[wrong], parts[wrong])}"
    if not isinstance(space, gymnasium.spaces.Box) or not isinstance(observation, np.ndarray):
        return f"{observation!r} ({type(observation).__name__})"
    array = cast("np.ndarray[Any, Any]", observation)
    if array.shape != space.shape or array.dtype != space.dtype:
        return f"shape {array.shape} of {array.dtype} instead of {space.shape} of {space.dtype}"
    place = tuple(np.argwhere((array < space.low) | (array > space.high))[0].tolist())
    low, high = space.low[place], space.high[place]
    return f"{array[place]!s} at {place} instead of a value from {low} to {high}"


def _leaves(observation: Any, name: str = "the observation") -> list[tuple[str, Any]]:
    if isinstance(observation, dict):
        parts = cast("dict[str, Any]", observation)
        return [leaf for key, part in parts.items() for leaf in _leaves(part, f"{key!r}")]
    if isinstance(observation, tuple):
        parts = cast("tuple[Any, ...]", observation)
        return [leaf for place, part in enumerate(parts) for leaf in _leaves(part, f"part {place}")]
    is_number = isinstance(observation, np.ndarray | np.generic | float | int)
    return [(name, np.asarray(observation))] if is_number else []


def _shape(result: Any) -> str:
    """What came back instead of the tuple expected."""
    if isinstance(result, tuple):
        return f"{len(cast('tuple[Any, ...]', result))} values"
    return f"a single {type(result).__name__}"


def _guarded(source: str, call: Callable[[], Any], step: int | None = None) -> Any:
    try:
        return call()
    except Exception as error:
        raise _BrokenError(_raised(source, error, step)) from error


def _raised(source: str, error: Exception, step: int | None) -> Violation:
    frame = _users_frame(error)
    place = f" ({frame})" if frame else ""
    when = f" at step {step}" if step else ""
    return Violation(
        "raises",
        f"Expected no exception, but {source} raised {type(error).__name__}: {error}{when}{place}: "
        "mend that line; a legal action must never raise.",
        step,
    )


def _users_frame(error: BaseException) -> str | None:
    """The innermost frame, as path:line, in a file that belongs to no library and not to us."""
    libraries = [*site.getsitepackages(), *sysconfig.get_paths().values()]
    ours = Path(__file__)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        inside = any(Path(frame.filename).is_relative_to(place) for place in libraries)
        if not inside and Path(frame.filename) != ours and not frame.filename.startswith("<"):
            return f"{frame.filename}:{frame.lineno}"
    return None
