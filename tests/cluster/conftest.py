# pyright: basic
"""What several tests of the cluster share."""

import gymnasium
import pytest
from checkpoints import write_checkpoint
from dashboard_app import desk
from finished_run import SCORES, TRAINED_S, job, log_of

from cluster.queue.run_queue import RunQueue
from tune_jobs.jobs.job_yaml import dump_job
from tune_jobs.run_log.events import (
    CheckpointRow,
    EndRow,
    ResultRow,
    TrialRow,
)


@pytest.fixture
def run(tmp_path):
    """A run of three trials of untrained policies, with two checkpoints each."""
    directory, env = tmp_path / "run", gymnasium.make("CartPole-v1")
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
            steps = {"seconds": 1.0, "env_steps": 9, "time": TRAINED_S}
            log.append(ResultRow(trial=trial, iteration=at, score=score, **steps))
            log.append(CheckpointRow(trial=trial, iteration=at, path=path))
        log.append(EndRow(trial=trial, iteration=4, reason="budget", time=TRAINED_S))
    return directory


@pytest.fixture
def idle(tmp_path):
    """A service whose queue starts nothing, so that what waits keeps waiting."""
    with desk(tmp_path, RunQueue(tmp_path)) as (_, client):
        yield tmp_path, client
