"""Running a sweep: jobs, sessions, schedulers, stop rules, evaluation, reports and trackers."""

from __future__ import annotations

import sys

MOVED = {
    "tune_jobs.callbacks": "rungwise.callbacks (sb3_callback is sb3 there, tune_stopper is tune)",
    "tune_jobs.foreign_logs": "rungwise.logs",
    "tune_jobs.health": "rungwise.health",
    "tune_jobs.judging": "rungwise.judging",
    "tune_jobs.run_log": "rungwise.run_log",
}
"""Packages that were here before 0.2, and where they are."""


class _MovedPackages:
    """Names the new place to who imports from an old one."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in MOVED:
            raise ModuleNotFoundError(f"{name} is now {MOVED[name]}.", name=name)


# First: a folder of old compiled files would count as a package.
sys.meta_path.insert(0, _MovedPackages())
