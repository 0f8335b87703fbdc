# pyright: basic
"""The best checkpoint of a run directory."""

import shutil
from pathlib import Path

import pytest
from finished_run import job, log_of, write_finished_run

from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import CheckpointRow, FinalRow
from rungwise.validation import InputError
from tune_jobs.evaluation.best_checkpoint import find_checkpoint
from tune_jobs.jobs.job_yaml import dump_job


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


def test_a_trial_directory_stands_for_the_best_checkpoint_of_the_trial(run, monkeypatch):
    best = run / "trials/00/checkpoint_4"
    assert find_checkpoint(run / "trials/00") == best
    assert find_checkpoint(best) == best
    # A resumed trial writes into a directory of its own, and either of them stands for the trial.
    (later := run / "trials/later/00").mkdir(parents=True)
    (run / "trials/00/checkpoint_4").rename(later / "checkpoint_6")
    row = CheckpointRow(trial="00", iteration=6, path="trials/later/00/checkpoint_6")
    EventLog(run / "events.jsonl").append(row)
    for directory in (run / "trials/00", later):
        assert find_checkpoint(directory) == later / "checkpoint_6"
    monkeypatch.chdir(run.parent)
    assert find_checkpoint(Path("run/trials/01")) == Path("run/trials/01/checkpoint_4")
    monkeypatch.chdir(run / "trials")
    assert find_checkpoint(Path("01")) == run / "trials/01/checkpoint_4"


def test_a_trial_without_an_intact_checkpoint_is_refused(run):
    for at in (2, 4):
        (run / f"trials/01/checkpoint_{at}/policy/weights.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"missing or damaged.*restore its files") as refused:
        find_checkpoint(run / "trials/01")
    assert "train further" not in str(refused.value)


def test_a_trial_whose_checkpoints_were_deleted_is_refused(run):
    for at in (2, 4):
        shutil.rmtree(run / f"trials/01/checkpoint_{at}")
    with pytest.raises(InputError, match=r"Trial 01 of the run .*let it train further"):
        find_checkpoint(run / "trials/01")


def test_a_run_that_has_not_started_is_refused(tmp_path):
    (tmp_path / "job.yaml").write_text(dump_job(job()))
    with pytest.raises(InputError, match="no checkpoint of a trial"):
        find_checkpoint(tmp_path)


def test_a_directory_outside_runs_is_left_to_the_loader(tmp_path):
    assert find_checkpoint(tmp_path / "checkpoint") == tmp_path / "checkpoint"
    assert find_checkpoint(tmp_path) == tmp_path


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "job.yaml").write_text(dump_job(job()))
    log_of(tmp_path)
    with pytest.raises(InputError, match="no checkpoint of a trial"):
        find_checkpoint(tmp_path)
