"""Watchdog: ends a process whose work hangs, and reports where it hung.

Ray counts a worker that never answers as healthy for ever. Here each process that steps an
environment watches itself: Python's ``faulthandler`` has a timer of its own that fires even while
other code holds the interpreter, writes every thread's stack and ends the process. Ray then
restarts the worker, or Tune the trial, as after any crash.
"""

from __future__ import annotations

import contextlib
import faulthandler
import re
import time
from collections import deque
from collections.abc import Generator
from pathlib import Path
from statistics import median

FIRST_S = 600.0
"""Limit of the first stretch: environments may load data when they first step."""
LONGEST_S = 1e6
"""Limit (11 days) from which on nothing is ended; a timer takes no number of any size."""
HANG_FACTOR = 3.0
"""Multiple of the usual duration that counts as a hang."""


class Watchdog:
    """A limit on the duration of repeated stretches of work in this process.

    Args:
        directory: where the stacks are written to.
        process_name: the report's file is ``<process_name>.hang``.
        min_limit_s: seconds that a stretch may always take.
    """

    def __init__(self, directory: Path, process_name: str, min_limit_s: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.report_path, self.at_least = directory / f"{process_name}.hang", min_limit_s
        self.seconds: deque[float] = deque(maxlen=20)

    @property
    def limit(self) -> float:
        """Seconds that the next stretch may take."""
        if not self.seconds:
            return max(FIRST_S, self.at_least)
        # The median: a single slow stretch must not raise the limit of those that follow.
        return max(HANG_FACTOR * median(self.seconds), self.at_least)

    @contextlib.contextmanager
    def watch(self) -> Generator[None]:
        """End the process if the work inside takes longer than the limit, if there is one."""
        if self.at_least >= LONGEST_S:
            yield
            return
        started = time.monotonic()
        with self.report_path.open("w") as file:
            # faulthandler can write stacks only, so the sentence comes first. It must
            # be flushed: the process ends without writing out Python's buffers.
            file.write(f"was ended after {self.limit:.0f} s\n")
            file.flush()
            faulthandler.dump_traceback_later(self.limit, exit=True, file=file)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()
        self.report_path.unlink()
        self.seconds.append(time.monotonic() - started)


def take_hang_reports(directory: Path, process_name: str) -> list[str]:
    """Read and remove the hang reports in ``directory``; return a sentence for each process.

    Reports of stretches under way are left alone.
    """
    reports: list[str] = []
    for path in sorted(directory.glob(f"{process_name}*.hang")):
        text = path.read_text(errors="replace")
        frames = re.findall(r'File "(.+)", line (\d+) in (\S+)', text)
        if not frames:
            continue
        path.unlink(missing_ok=True)
        # The user's frame, if there is one: a library's only shows where waiting is
        # implemented.
        user = [f for f in frames if "site-packages" not in f[0] and "/lib/python" not in f[0]]
        file, line, function = (user or frames)[0]
        reports.append(f"{path.stem} hung in {function} ({file}:{line}) and {text.splitlines()[0]}")
    return reports
