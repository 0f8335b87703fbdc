# pyright: basic
"""Trials that a test steps itself, without Ray Tune."""

from pathlib import Path
from typing import Any

from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.session.trial import make_trainable


def describe_small_job(env: str, **settings: Any) -> dict[str, Any]:
    """Return a job of four short iterations, judged by the mean return of training."""
    return {
        "env": env,
        "metric": "return_mean",
        "mode": "max",
        "iterations": 4,
        "settings": {"minibatch_size": 64, "hidden": [8], **settings},
    }


def make_trial(job: dict[str, Any], folder: Path, resume: str = "", trial: str = "00") -> Any:
    """Return a trial of this job, set up as Tune does it, from the checkpoint ``resume`` if any."""
    kind = make_trainable(make_job(job))
    made = kind.__new__(kind)
    plan = {"trial": trial, "config": {}, "resume_from": resume}
    made.setup({"plan": plan | {"hang_report_dir": str(folder / "faults")}})
    return made
