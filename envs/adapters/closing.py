"""Closing an environment of the user, whose ``close()`` may raise."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rungwise.user_frames import find_user_frame
from rungwise.validation import InputWarning


def guard_close(env: Any) -> Any:
    """Let an environment whose ``close()`` raises only warn; return the same environment."""
    name = type(getattr(env, "unwrapped", env)).__name__
    with suppress(AttributeError):  # it refuses new attributes, and is legal all the same
        env.close = functools.partial(_close, name, env.close)
    return env


def _close(name: str, close: Callable[[], None]) -> None:
    try:
        close()
    except (Exception, SystemExit) as error:
        location = f" ({frame})" if (frame := find_user_frame(error)) else ""
        _warn_once(f"close() of {name} raised {type(error).__name__}: {error}{location}")


@functools.cache  # the filter "once" forgets whenever filters change
def _warn_once(fault: str) -> None:
    rest = "no result is affected, but what the environment holds may stay open: correct that line."
    warnings.warn(f"{fault}; {rest}", InputWarning, stacklevel=3)
