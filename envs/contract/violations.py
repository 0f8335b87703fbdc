"""Outcomes of a check: broken rules, and no time left."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Return the time in seconds from any fixed moment on; checks measure their time limits by it."""


@dataclasses.dataclass(frozen=True)
class Violation:
    """One broken rule."""

    rule: str
    """Its name."""
    sentence: str
    """The expected behaviour, the behaviour seen, and what to do."""
    step: int | None = None
    """The step of the check at which it showed, from 1; None outside of steps."""
    severity: Literal["note", "warn", "stop"] = "stop"
    """``stop``: training would fail; ``warn``: it may; ``note``: it does not."""


class BrokenEnvironmentError(Exception):
    """An error that carries a violation out of a check."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.sentence)
        self.violation = violation


class TimeLimitError(Exception):
    """A check that had no time left."""


class TimeUpError(BaseException):
    """The time is up. Not an Exception, because environments may catch those and continue."""

    source = ""
    """The call of the environment that was interrupted; empty outside of guarded calls."""
    call_s = 0.0
    """Seconds for which that call alone had been running."""
