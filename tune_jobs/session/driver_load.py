"""Does the driver keep its trials waiting?

Ray Tune handles one result after another in one thread: about 500 a second without logging, 50 to
100 with it (its page on scalability). What arrives faster waits, and its trial with it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

from rungwise.validation import InputWarning

WINDOW_S = 60.0
"""Seconds over which the load is measured."""
FULL = 0.9
"""Fraction of a core from which a thread hardly ever waits for something to do."""


class DriverLoad:
    """Warns once when the thread of the driver has been busy for a whole window.

    A machine whose cores are all taken by trials gives the driver less than a core, and is not
    meant: there fewer results are not the remedy.

    Args:
        clock: returns the time in seconds.
        cpu_clock: returns the CPU time of this thread in seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._cpu_clock = clock, cpu_clock
        self._warned, self._results = False, 0
        self._start: tuple[float, float] | None = None
        """Time and CPU time at the start of the window; the first begins with the first look, in
        the thread that is meant."""

    def count_result(self) -> None:
        """Count a result that has been handled."""
        self._results += 1

    def look(self) -> None:
        """Judge the window, if it is over."""
        now, used = self._clock(), self._cpu_clock()
        since, used_before = self._start or (now, used)
        passed = now - since
        if self._start and passed < WINDOW_S:
            return
        if not self._warned and used - used_before > FULL * passed:
            self._warned = True
            warnings.warn(
                f"The driver is the bottleneck: for {passed:.0f} s it has done nothing but handle "
                f"{self._results / passed:.0f} results a second, and trials wait for it. Let an "
                "iteration take longer (settings.rollout_length; of a program: log less often), "
                "or divide the sweep into several jobs.",
                InputWarning,
                stacklevel=2,
            )
        self._start, self._results = (now, used), 0
