"""Modules that had another place before 0.2: an import from there names the new one."""

from __future__ import annotations

import pickle
import sys
from typing import Any

MOVED = {
    "algos.metrics": "rungwise.metrics",
    "envs.action_masks": "envs.contract.action_masks",
    "envs.agents": "envs.contract.agents",
    "envs.batched": "envs.contract.batched",
    "envs.counter_rng": "envs.contract.counter_rng",
    "envs.episode_trace": "envs.contract.episode_trace",
    "envs.masked": "envs.contract.masked",
    "envs.pytree": "envs.contract.pytree",
    "envs.validation": "rungwise.validation",
    "envs.world": "envs.contract.world",
    "tune_jobs.callbacks": "rungwise.callbacks (sb3_callback is sb3 there, tune_stopper is tune)",
    "tune_jobs.foreign_logs": "rungwise.logs",
    "tune_jobs.health": "rungwise.health",
    "tune_jobs.judging": "rungwise.judging",
    "tune_jobs.run_log": "rungwise.run_log",
}
"""The documented ones by their old names."""


def find_moved(name: str) -> str | None:
    """Return the old name of what has moved with a module; None where it has not."""
    return next((old for old in MOVED if f"{name}.".startswith(f"{old}.")), None)


class _MovedModules:
    """Names the new place to who imports from an old one."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if old := find_moved(name):
            raise ModuleNotFoundError(f"{old} is now {MOVED[old]}.", name=name)


def name_new_places() -> None:
    """Let imports from old places say where their modules are."""
    # Last: a project may have a module of that name, such as envs/agents.py.
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModules())


class MovedUnpickler(pickle.Unpickler):
    """Reads objects of earlier versions, whose classes had another place."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return the class, from where it is now."""
        if old := find_moved(module_name):
            module_name = MOVED[old].split()[0] + module_name.removeprefix(old)
        return super().find_class(module_name, global_name)
