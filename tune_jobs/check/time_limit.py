"""Time limits that interrupt any Python code."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from envs.checking.guarded_calls import TimeUpError

AGAIN = 5.0
"""Seconds between repetitions of the signal: the code may have caught the first."""


@contextmanager
def time_limit(seconds: float) -> Generator[None]:
    """Raise :class:`TimeUpError` in this block once the time is up, even within a step.

    An environment that sleeps or computes in Python is interrupted, one that never returns from
    compiled code is not. Signals reach the main thread only: in other threads there is no limit.
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
        if left:  # an alarm set before, such as a test's, still fires on time
            spent = time.monotonic() - started
            signal.setitimer(signal.ITIMER_REAL, max(left - spent, 1e-3), interval)
