"""Rungwise: train, tune and judge reinforcement learning from Python.

Everything is imported on its first use, so that ``import rungwise`` waits for neither torch nor
Ray::

    import rungwise

    outcome = rungwise.run(rungwise.Job(env="CartPole-v1", iterations=30), "runs/first")
    print(outcome.best.score, outcome.compute_saved)

In a project with its own folder ``envs``, ``algos``, ``tune_jobs`` or ``cluster`` both can be
imported from the first use of a name that trains on; what judges (``Watch``, ``doctor``, the
callbacks) leaves them alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from algos.policy import Policy
    from envs.contract.batched import World
    from rungwise.judging.doctor import doctor
    from rungwise.judging.watch import Watch
    from rungwise.run_log.outcome import Outcome
    from rungwise.validation import InputError
    from tune_jobs.api import check_environment as check
    from tune_jobs.api import resume, run
    from tune_jobs.jobs.job import Job
    from tune_jobs.jobs.job_yaml import load_job
    from tune_jobs.jobs.search_space import Space

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
    "InputError": "rungwise.validation:InputError",
    "Job": "tune_jobs.jobs.job:Job",
    "Outcome": "rungwise.run_log.outcome:Outcome",
    "Policy": "algos.policy:Policy",
    "Space": "tune_jobs.jobs.search_space:Space",
    "Watch": "rungwise.judging.watch:Watch",
    "World": "envs.contract.batched:World",
    "check": "tune_jobs.api:check_environment",
    "doctor": "rungwise.judging.doctor:doctor",
    "load_job": "tune_jobs.jobs.job_yaml:load_job",
    "resume": "tune_jobs.api:resume",
    "run": "tune_jobs.api:run",
}


def __getattr__(name: str) -> Any:
    """Import a name of the API on its first use."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    if not module.startswith(f"{__name__}."):
        from rungwise.user_packages import claim_packages, extend_packages

        claim_packages()
        extend_packages()
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """Return the names of the API."""
    return __all__
