"""Limit on the disk that the runs of a service may take."""

from __future__ import annotations

import time
from pathlib import Path

from rungwise.validation import InputError
from tune_jobs.disk_space import measure_size

MEASURE_INTERVAL_S = 15.0
"""Least seconds between two measurements: each looks at every file."""


class DiskLimit:
    """The disk that runs take, and how much they may.

    Args:
        root: directory of the runs.
        limit_gib: in GiB; None for no limit.

    Raises:
        InputError: no run could ever start.
    """

    def __init__(self, root: Path, limit_gib: float | None) -> None:
        if limit_gib is not None and not limit_gib > 0:
            raise InputError(f"--disk-limit must be above 0 GiB, but it is {limit_gib}.")
        self.root, self.limit_gib = root, limit_gib
        self._used, self._measured_at = 0, float("-inf")

    def measure(self) -> int:
        """Return the size of all runs in bytes, as it was a moment ago."""
        if time.monotonic() >= self._measured_at + MEASURE_INTERVAL_S:
            self._used = measure_size(self.root)
            self._measured_at = time.monotonic()
        return self._used

    def explain(self) -> str:
        """Return why no run may start now; empty if one may."""
        if self.limit_gib is None or (used := self.measure()) <= self.limit_gib * 2**30:
            return ""
        return (
            f"waits for disk space: the runs take {used / 2**30:.1f} GiB, more than --disk-limit "
            f"{self.limit_gib:g}; delete runs or checkpoints"
        )
