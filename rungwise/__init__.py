"""Rungwise: train, tune and judge reinforcement learning from Python.

Everything is imported on its first use, so that ``import rungwise`` waits for neither torch nor
Ray::

    import rungwise

    outcome = rungwise.run(rungwise.Job(env="CartPole-v1", iterations=30), "runs/first")
    print(outcome.best.score, outcome.compute_saved)

Import it before anything else in a project with its own folder ``envs``, ``algos``, ``tune_jobs``
or ``cluster``: from then on both can be imported.
"""

from __future__ import annotations

import runpy
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# By its file: `import envs` would find the project's own folder first.
_packages = runpy.run_path(str(Path(__file__).resolve().parents[1] / "envs" / "user_packages.py"))
_packages["claim_packages"]()
_packages["extend_packages"]()

if TYPE_CHECKING:
    from algos.policy import Policy
    from envs.batched import World
    from envs.validation import InputError
    from tune_jobs.api import check_environment as check
    from tune_jobs.api import resume, run
    from tune_jobs.jobs.job import Job
    from tune_jobs.jobs.job_yaml import load_job
    from tune_jobs.jobs.search_space import Space
    from tune_jobs.judging.doctor import doctor
    from tune_jobs.judging.watch import Watch
    from tune_jobs.run_log.outcome import Outcome

__all__ = [
    "InputError",
    "Job",
    "Outcome",
    "Policy",
    "Space",
    "Watch",
    "World",
    "check",
    "doctor",
    "load_job",
    "resume",
    "run",
]

_PLACES = {
    "InputError": "envs.validation:InputError",
    "Job": "tune_jobs.jobs.job:Job",
    "Outcome": "tune_jobs.run_log.outcome:Outcome",
    "Policy": "algos.policy:Policy",
    "Space": "tune_jobs.jobs.search_space:Space",
    "Watch": "tune_jobs.judging.watch:Watch",
    "World": "envs.batched:World",
    "check": "tune_jobs.api:check_environment",
    "doctor": "tune_jobs.judging.doctor:doctor",
    "load_job": "tune_jobs.jobs.job_yaml:load_job",
    "resume": "tune_jobs.api:resume",
    "run": "tune_jobs.api:run",
}


def __getattr__(name: str) -> Any:
    """Import a name of the API on its first use."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, own = _PLACES[name].partition(":")
    return getattr(import_module(module), own)


def __dir__() -> list[str]:
    """Return the names of the API."""
    return __all__
