# pyright: basic
"""The best checkpoint of a run directory."""

import pytest
from finished_run import job, log_of, write_finished_run

from envs.validation import InputError
from tune_jobs.jobs.job_yaml import dump_job
from tune_jobs.run_log.best_checkpoint import find_checkpoint
from tune_jobs.run_log.event_log import EventLog
from tune_jobs.run_log.events import FinalRow


@pytest.fixture
def run(tmp_path):
    return write_finished_run(tmp_path / "run")


def test_a_run_directory_stands_for_its_best_checkpoint(run):
    best = run / "trials/01/checkpoint_4"
    assert find_checkpoint(run) == best
    assert find_checkpoint(best) == best
    final = {"checkpoint": "c", "metric": "return_mean", "mode": "max", "error": 0.0}
    for trial, score in (("01", 10.0), ("02", 11.0)):
        row = FinalRow(trial=trial, score=score, episodes=20, seed=0, **final)
        EventLog(run / "events.jsonl").append(row)
    assert find_checkpoint(run) == run / "trials/02/checkpoint_4", "the winner of the finals"


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(run):
    (run / "trials/01/checkpoint_4/policy/weights.safetensors").write_bytes(b"")
    assert find_checkpoint(run) == run / "trials/01/checkpoint_2"


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "job.yaml").write_text(dump_job(job()))
    log_of(tmp_path)
    with pytest.raises(InputError, match="no checkpoint of a trial"):
        find_checkpoint(tmp_path)
