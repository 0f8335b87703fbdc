# pyright: basic, reportArgumentType=false
"""Parts of a finished run of CartPole whose policies are untrained."""

import io

from rich.console import Console

from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.run_log.events import (
    EventLog,
    JobRow,
)

SCORES = {"00": 20.0, "01": 90.0, "02": 50.0}


TRAINED_S = 60.0


def job(**changed):
    fields = {"env": "CartPole-v1", "trials": 3, "iterations": 4, "metric": "return_mean"}
    search = {"lr": {"loguniform": [1e-4, 1e-2]}}
    return make_job(fields | {"mode": "max", "search": search} | changed)


def log_of(directory):
    log = EventLog(directory / "events.jsonl")
    about = {"run": "r", "env": "CartPole-v1", "algo": "ppo", "metric": "return_mean"}
    log.append(JobRow(**about, mode="max", iterations=4, trials=3, time=0.0))
    return log


def silent():
    return Console(file=io.StringIO(), width=300)
