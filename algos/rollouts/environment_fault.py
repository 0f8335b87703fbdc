"""An exception of the environment itself, as distinct from one of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rungwise.user_frames import find_user_frame


class EnvironmentFault(RuntimeError):
    """An exception of the environment itself; names the step and the user's own code."""


def call_environment(
    origin: tuple[str, int, int], call: Callable[..., Any], *args: object, **kwargs: object
) -> Any:
    """Return what the call returns.

    Args:
        origin: identifier of the environment, step and number of the runner, for the message.
        call: a method of the environment.
        args: its arguments.
        kwargs: its arguments.

    Raises:
        EnvironmentFault: the call raised; with the user's own frame.
    """
    try:
        return call(*args, **kwargs)
    except (Exception, SystemExit) as error:  # an exit would end a trial without a word
        frame = find_user_frame(error)
        env_id, step, runner = origin
        raise EnvironmentFault(
            f"{env_id} failed in {call.__name__}() at step {step} of runner {runner}: "
            f"{type(error).__name__}: {error}{f' ({frame})' if frame else ''}"
        ) from error
