# pyright: basic
"""Checks before a start, and claiming a run directory."""

import stat

import pytest

from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import load_job, make_job
from tune_jobs.session import prepare
from tune_jobs.session.prepare import claim_run_directory, extend_run, prepare_job


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


def test_an_extended_job_keeps_its_secrets_from_others(tmp_path):
    secret = {"KEY": "s3cret"}
    program = {"command": "true {out} {x}", "budget": 9, "environment": secret, "trials": 2}
    job = {
        "search": {"x": {"uniform": [0, 1]}},
        "metric": "return",
        "mode": "max",
        "progress": "step",
    }
    prepare_job(make_job(program | job), tmp_path)
    for trials in (2, 3):
        extend_run(tmp_path, {"trials": trials})
        assert stat.S_IMODE((tmp_path / "job.yaml").stat().st_mode) == 0o600
    assert load_job(tmp_path / "job.yaml").trials == 3


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"env": "CartPole-v1", "evaluation_env_kwargs": {"nosuch": 1}},
            "evaluation_env_kwargs cannot be used: CartPole-v1 has no argument nosuch",
        ),
        (
            {"env": "FrozenLake-v1", "evaluation_env_kwargs": {"map_name": "8x8"}},
            r"evaluation_env_kwargs .* has Discrete\(64\)",
        ),
        (
            {"env": "CartPole-v1", "settings": {"record": "{file}/x"}},
            "settings.record is .*/x, which",
        ),
    ],
)
def test_what_would_fail_after_training_is_refused_before(tmp_path, fields, sentence):
    (tmp_path / "file").write_text("")
    if "settings" in fields:
        fields = fields | {"settings": {"record": f"{tmp_path}/file/x"}}
    with pytest.raises(InputError, match=sentence):
        prepare_job(make_job(fields | {"iterations": 3}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_evaluation_with_other_arguments_is_accepted(tmp_path):
    job = {"env": "CartPole-v1", "evaluation_env_kwargs": {"max_episode_steps": 100}}
    prepare_job(make_job(job | {"iterations": 3}), tmp_path / "run")
