# pyright: basic, reportAttributeAccessIssue=false
"""A session: its scheduler and the environment variables of Tune."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from ray import tune
from ray.tune.execution import class_cache
from sessions import make_session
from synthetic_sweep import job_row

from tune_jobs import ray_session
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.schedulers.pbt import RecordedPBT
from tune_jobs.session.tune_session import (
    MAX_PENDING_TRIALS,
    _make_checkpoint_config,
    set_tune_environment,
)


def test_each_scheduler_of_a_job_is_made(tmp_path):
    assert isinstance(make_session(tmp_path).scheduler, RecordedASHA)
    population = make_session(tmp_path, scheduler="pbt", trials=4, earlier=[job_row()])
    assert isinstance(population.scheduler, RecordedPBT)
    # Without rungs ASHA decides nothing: the trial never waits.
    assert not make_session(tmp_path, scheduler="none").scheduler.is_waiting("00")


@pytest.mark.parametrize(("searcher", "pending"), [("optuna", 1), ("random", MAX_PENDING_TRIALS)])
def test_a_sampler_keeps_one_trial_in_the_queue(monkeypatch, tmp_path, searcher, pending):
    monkeypatch.setattr(os, "environ", {})
    session = make_session(tmp_path, searcher=searcher)
    set_tune_environment(session.job)
    assert os.environ["TUNE_MAX_PENDING_TRIALS_PG"] == str(pending)
    assert os.environ["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
    assert session.has_settings_to_propose == (searcher == "optuna")


@pytest.mark.parametrize("ours", [True, False])
def test_a_ray_of_ours_inherits_variables_and_exports_no_metrics(monkeypatch, tmp_path, ours):
    monkeypatch.setattr(ray_session, "_started_here", ours)
    session = make_session(tmp_path)
    set_tune_environment(session.job)
    assert ("PL_DISABLE_FORK" in class_cache.DEFAULT_ENV_VARS) is not ours
    assert ("AWS_SESSION_TOKEN" in class_cache.ENV_VARS_TO_PROPAGATE) is not ours
    assert (session.recorder._gauges is None) is ours


@pytest.mark.usefixtures("local_ray")
def test_runs_and_trials_record_into_folders_of_their_own(tmp_path):
    """Runs of the same seed and, after one was deleted, of the same name."""
    shared, chosen = str(tmp_path / "recorded"), load_job("cartpole").training
    small = {"num_envs": 2, "rollout_length": 32, "minibatch_size": 64, "num_env_runners": 0}
    settings = replace(chosen, record=shared, **small)
    for identity, trial in (("first", "00"), ("first", "01"), ("second", "00"), ("", "00")):
        rows = [replace(job_row(), id=identity)]
        kind = make_session(tmp_path / "run", settings=settings, earlier=rows)._make_trainable()
        made = kind.__new__(kind)
        plan = {"trial": trial, "config": {}, "resume_from": ""}
        made.setup({"plan": plan | {"hang_report_dir": str(tmp_path / "faults")}})
        made.step()
        made.cleanup()
    files = [path.relative_to(shared).parts for path in Path(shared).rglob("*.parquet")]
    folders = sorted((run, trial) for run, trial, _, _ in files)
    assert folders == [("first", "00"), ("first", "01"), ("run", "00"), ("second", "00")]


def test_a_population_keeps_more_checkpoints(tmp_path):
    one = _make_checkpoint_config(make_session(tmp_path).job)
    many = _make_checkpoint_config(make_session(tmp_path, scheduler="pbt").job)
    assert (one.num_to_keep, many.num_to_keep) == (2, 4)


@pytest.mark.parametrize(
    ("earlier", "name"), [([], "session-0"), ([0, 1], "session-2"), ([1, 10, "x"], "session-11")]
)
def test_a_session_has_a_folder_of_its_own(monkeypatch, tmp_path, earlier, name):
    """Older folders may have been deleted to make room."""
    for number in earlier:
        (tmp_path / "trials" / f"session-{number}").mkdir(parents=True)
    monkeypatch.setattr(tune, "Tuner", lambda _, **fields: fields["run_config"].name)
    assert make_session(tmp_path)._make_tuner({}, None) == name
