"""Time limits that hold whatever the code under them does."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

AGAIN = 5.0
"""Seconds after which the limit comes again: code under it may have swallowed the first."""


class TimeUpError(BaseException):
    """The time is up. Not an Exception, which an environment may catch to carry on."""


@contextmanager
def time_limit(seconds: float) -> Generator[None]:
    """Raise :class:`TimeUpError` in this block once the time is up, even in the middle of a step.

    An environment that sleeps or computes in Python is interrupted, one that never returns from
    compiled code is not. Signals reach the main thread only: elsewhere nothing is raised.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        raise TimeUpError

    started = time.monotonic()
    previous = signal.signal(signal.SIGALRM, end)
    left, interval = signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if left:  # somebody else's alarm, such as a test's, still comes when it should
            spent = time.monotonic() - started
            signal.setitimer(signal.ITIMER_REAL, max(left - spent, 1e-3), interval)
