# pyright: basic, reportArgumentType=false
"""Parts of a finished run of CartPole whose policies are untrained."""

import io

import gymnasium
from checkpoints import write_checkpoint

from cluster.errors import PlainConsole
from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import CheckpointRow, EndRow, JobRow, ResultRow, TrialRow
from tune_jobs.jobs.job_yaml import dump_job, make_job

SCORES = {"00": 20.0, "01": 90.0, "02": 50.0}


TRAINED_S, TRAINED_STEPS = 60.0, 6_000


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
    return PlainConsole(file=io.StringIO(), width=300)


def write_finished_run(directory):
    """A run of three trials of untrained policies, with two checkpoints each."""
    env = gymnasium.make("CartPole-v1")
    directory.mkdir()
    (directory / "job.yaml").write_text(dump_job(job()))
    log = log_of(directory)
    for trial, score in SCORES.items():
        log.append(TrialRow(trial=trial, config={"lr": 1e-3}, time=0.0))
        for at in (2, 4):
            path = f"trials/{trial}/checkpoint_{at}"
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            spaces = env.observation_space, env.action_space
            write_checkpoint(directory / path, *spaces, seed=int(trial) + at, hidden=(8,))
            steps = {"seconds": 1.0, "env_steps": TRAINED_STEPS, "time": TRAINED_S}
            log.append(ResultRow(trial=trial, iteration=at, score=score, **steps))
            log.append(CheckpointRow(trial=trial, iteration=at, path=path))
        log.append(EndRow(trial=trial, iteration=4, reason="budget", time=TRAINED_S))
    return directory
