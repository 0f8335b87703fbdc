"""A session of a run without Ray, and results as its trials report them."""

import json
from dataclasses import replace

from rungwise.run_log.events import EndRow
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.session.tune_session import TuneSession


def make_session(directory, listener=lambda row: None, earlier=(), **changed):
    """A session of the CartPole preset, changed."""
    job = replace(load_job("cartpole"), **{"mode": "max", "metric": "return_mean"} | changed)
    return TuneSession(job, directory, earlier, listener)


def make_result(trial, iteration, score, metrics=None, fault=""):
    """What a trial reports after an iteration; by default it measures its score."""
    metrics = {"return_mean": score} if metrics is None else metrics
    return {
        "trial": trial,
        "iteration": iteration,
        "score": score,
        "fault": fault,
        "trained_s": float(iteration),
        "took": "{}",
        "metrics": json.dumps({"env_steps": iteration} | metrics),
    }


def get_end(rows):
    """Iteration and reason of the only end among the rows, None without one."""
    ends = [(row.iteration, row.reason) for row in rows if isinstance(row, EndRow)]
    assert len(ends) <= 1
    return ends[0] if ends else None
