"""Modules that had another place before 0.2: an import from there names the new one."""

from __future__ import annotations

import pickle
import sys
from typing import Any

MOVED = {
    "algos.metrics": "rungwise.metrics",
    **{
        f"envs.{name}": f"envs.contract.{name}"
        for name in (
            *("action_masks", "agents", "batched", "counter_rng", "episode_trace", "masked"),
            *("pytree", "world"),
        )
    },
    "envs.validation": "rungwise.validation",
    "tune_jobs.callbacks": "rungwise.callbacks (sb3_callback is sb3 there, tune_stopper is tune)",
    "tune_jobs.foreign_logs": "rungwise.logs",
    "tune_jobs.health": "rungwise.health",
    "tune_jobs.judging": "rungwise.judging",
    "tune_jobs.run_log": "rungwise.run_log",
}
"""The documented ones by their old names."""


class _MovedModules:
    """Names the new place to who imports from an old one."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in MOVED:
            raise ModuleNotFoundError(f"{name} is now {MOVED[name]}.", name=name)


def name_new_places() -> None:
    """Let imports from old places say where their modules are."""
    # First: a folder of old compiled files would count as a package.
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, _MovedModules())


class MovedUnpickler(pickle.Unpickler):
    """Reads objects of earlier versions, whose classes had another place."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return the class, from where it is now."""
        for old, new in MOVED.items():
            if f"{module_name}.".startswith(f"{old}."):
                module_name = new.split()[0] + module_name.removeprefix(old)
        return super().find_class(module_name, global_name)
