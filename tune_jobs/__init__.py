"""Jobs and runs: search spaces, schedulers, stop rules, health, the event log, ledger, reports.

The Python API is imported on first use, so that ``import tune_jobs`` does not wait for torch and
Ray::

    import tune_jobs

    job = tune_jobs.load_job("cartpole")  # or tune_jobs.Job(env="CartPole-v1", iterations=30)
    outcome = tune_jobs.run(job, out="runs/first")
    print(outcome.best.score, outcome.compute_saved)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rungwise.run_log.outcome import Outcome
    from tune_jobs.api import check_environment, resume, run
    from tune_jobs.jobs.job import Job
    from tune_jobs.jobs.job_yaml import load_job
    from tune_jobs.jobs.search_space import Space
    from tune_jobs.judging.doctor import doctor

__all__ = ["Job", "Outcome", "Space", "check_environment", "doctor", "load_job", "resume", "run"]

_MODULES = {
    "Job": "jobs.job",
    "Outcome": "run_log.outcome",
    "Space": "jobs.search_space",
    "check_environment": "api",
    "doctor": "judging.doctor",
    "load_job": "jobs.job_yaml",
    "resume": "api",
    "run": "api",
}


def __getattr__(name: str) -> Any:
    """Import a name of the API on its first use."""
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
