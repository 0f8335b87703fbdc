# pyright: basic
"""Checks before a start, and claiming a run directory."""

import pytest

from envs.validation import InputError
from tune_jobs import prepare
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.prepare import claim_run_directory, prepare_job


def test_a_used_run_directory_is_refused_with_both_ways_out(tmp_path):
    (tmp_path / "job.yaml").write_text("")
    with pytest.raises(InputError, match=r"rungwise resume .*--out"):
        claim_run_directory(tmp_path)


def test_a_place_that_cannot_be_written_is_said_before_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        claim_run_directory(tmp_path / "file" / "run")


def test_a_directory_claimed_at_the_same_moment_is_refused(tmp_path, monkeypatch):
    job = make_job({"env": "CartPole-v1", "iterations": 3})
    prepare_job(job, tmp_path)
    before = (tmp_path / "job.yaml").read_text()
    # The other process claims it between the look at the directory and the writing of the job.
    claims = iter([lambda path: None, claim_run_directory])
    monkeypatch.setattr(prepare, "claim_run_directory", lambda path: next(claims)(path))
    with pytest.raises(InputError, match="exists already"):
        prepare_job(job, tmp_path)
    assert (tmp_path / "job.yaml").read_text() == before
