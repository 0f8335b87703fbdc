# pyright: basic, reportArgumentType=false
"""Trials as runs of MLflow, in a store on this machine, and of W&B."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from synthetic_sweep import job_row

from rungwise.logs.discovery import find_readers
from rungwise.run_log.events import CheckpointRow
from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.session.prepare import make_job_row
from tune_jobs.trackers.remote_runs import MlflowRuns, WandbRuns
from tune_jobs.trackers.tracker import make_trackers

pytestmark = pytest.mark.system


@pytest.fixture
def client(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="pip install 'rungwise[mlflow]'")
    monkeypatch.chdir(tmp_path)  # for the artifacts
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv(MlflowRuns.VARIABLE, "sweeps")
    return mlflow.MlflowClient()


def play(directory, iterations, trial="03", earlier=(), kind=MlflowRuns):
    """A session that reports some iterations of a trial."""
    runs = kind(directory, earlier)
    runs.setup()
    told = SimpleNamespace(config={"plan": {"trial": trial, "config": {"lr": 0.01}}})
    for at in iterations:
        metrics = json.dumps({"kl": at / 10, "entropy": float("nan")})
        result = {"trial": trial, "iteration": at, "score": float(at), "metrics": metrics}
        runs.log_trial_result(at, told, result)
    return runs, told


def test_trial_is_one_run_with_settings_continued_by_a_resume(client, tmp_path):
    runs, told = play(tmp_path / "sweep", [1, 2])
    runs.log_trial_end(told)
    runs, told = play(tmp_path / "sweep", [3])
    experiment = client.get_experiment_by_name("sweeps").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.run_name == "sweep-03" and run.data.params == {"lr": "0.01"}
    assert run.info.status == "RUNNING"
    history = client.get_metric_history(run.info.run_id, "score")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert run.data.metrics.keys() == {"score", "train/kl"}
    runs.log_trial_end(told, failed=True)
    assert client.get_run(run.info.run_id).info.status == "FAILED"


def test_mlflow_takes_names_of_any_characters(client, tmp_path):
    runs, _ = play(tmp_path / "sweep", [])
    run = runs.begin_run("sweep-03", "sweep-03", {"success (%)": 0.1})
    for name in ("success (%)", "Größe: 1", "a/b"):
        runs.log_points(run, {name: 1.0, "score": 2.0}, 1)
    data = client.get_run(run).data
    assert data.params == {"success ___": "0.1"}
    assert data.metrics.keys() == {"success ___", "Größe: 1", "a/b", "score"}
    for name in ("", ".", "..a", "../a", "/a", "//a/", "a/../../b", "n\n", "x" * 300):
        runs.log_points(run, {name: 1.0}, 1)


def test_runs_with_the_same_directory_name_stay_apart(client, tmp_path):
    ours, theirs = (replace(job_row(), id=name) for name in ("ours", "theirs"))
    play(tmp_path / "sweep", [1, 2], earlier=[ours])
    play(tmp_path / "elsewhere" / "sweep", [1], earlier=[theirs])
    play(tmp_path / "sweep", [3], earlier=[ours, replace(ours, resumed=True)])
    experiment = client.get_experiment_by_name("sweeps").experiment_id
    found = client.search_runs([experiment])
    lengths = [len(client.get_metric_history(run.info.run_id, "score")) for run in found]
    assert sorted(lengths) == [1, 3]
    assert {run.info.run_name for run in found} == {"sweep-03"}


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    package = pytest.importorskip("wandb", reason="pip install 'rungwise[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv(WandbRuns.VARIABLE, "sweeps")
    yield package
    package.teardown()
    # It leaves the address of its server there: commands of other tests would report to that one.
    os.environ.pop("WANDB_SERVICE", None)


def save_checkpoints(directory):
    """Rows of two checkpoints, the second of which is worse."""
    for at in (1, 2):
        folder = directory / "trials" / f"checkpoint_{at}"
        folder.mkdir(parents=True)
        (folder / "weights.bin").write_text(str(at))
        path, best = f"trials/checkpoint_{at}", "trials/checkpoint_1"
        yield CheckpointRow(trial="03", iteration=at, path=path, best=best, best_iteration=1)


def test_the_best_checkpoint_is_an_artifact_of_mlflow(client, tmp_path):
    runs, told = play(tmp_path / "sweep", [1, 2])
    for row in save_checkpoints(tmp_path / "sweep"):
        runs.observe_row(row)
    runs.log_trial_end(told)
    (run,) = client.search_runs([client.get_experiment_by_name("sweeps").experiment_id])
    (file,) = client.list_artifacts(run.info.run_id, "checkpoint")
    got = client.download_artifacts(run.info.run_id, file.path, str(tmp_path))
    assert Path(got).read_text() == "1"
    (reader,) = find_readers(tmp_path / "mlflow.db")
    assert [row.values["train/kl"] for row in reader.read(final=True)] == [0.1, 0.2]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_w_and_b_has_the_same_names_and_the_checkpoint(wandb, tmp_path, monkeypatch, elsewhere):
    folder = tmp_path / "elsewhere" if elsewhere else tmp_path / "sweep"
    folder.mkdir()
    if elsewhere:
        monkeypatch.setenv("WANDB_DIR", str(folder))
    earlier = [replace(job_row(), id="ours"), *save_checkpoints(tmp_path / "sweep")]
    runs, told = play(tmp_path / "sweep", [1, 2], earlier=earlier, kind=WandbRuns)
    runs.log_trial_end(told)
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    assert file.name == "run-ours-03.wandb"
    # An offline run is finished before all of its file is written; the end of W&B's server waits.
    wandb.teardown()
    rows = find_readers(file)[0].read(final=True)
    assert [row.values["train/kl"] for row in rows] == [0.1, 0.2]
    assert rows[-1].values["score"] == 2.0 and not rows[-1].values.keys() - {
        *("train/kl", "score", "train/entropy", "iteration"),
    }
    records = file.read_bytes()
    assert b"checkpoint-ours-03" in records and b"checkpoint_1/weights.bin" in records


@pytest.mark.parametrize("kind", [WandbRuns, MlflowRuns])
def test_a_variable_switches_a_tracker_on_and_absence_is_reported(tmp_path, monkeypatch, kind):
    for one in (WandbRuns, MlflowRuns):
        monkeypatch.delenv(one.VARIABLE, raising=False)
    assert [tracker.name for tracker in make_trackers(tmp_path)] == ["TensorBoard"]
    kind.check()
    monkeypatch.setenv(kind.VARIABLE, "sweeps")
    assert isinstance(make_trackers(tmp_path)[-1].callback, kind)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"pip install 'rungwise\[{kind.PACKAGE}\]'"):
        kind.check()


def test_a_run_has_a_random_id_in_all_its_sessions(tmp_path):
    job = make_job({"env": "CartPole-v1"})
    first, other = (make_job_row(job, tmp_path, []) for _ in range(2))
    again = make_job_row(job, tmp_path, [first])
    assert first.id == again.id != other.id and (first.resumed, again.resumed) == (False, True)
    assert MlflowRuns(tmp_path, [first, again]).prefix == first.id


def test_a_run_of_an_earlier_version_keeps_its_name(tmp_path):
    old = replace(job_row(), id="")
    assert make_job_row(make_job({"env": "CartPole-v1"}), tmp_path, [old]).id == ""
    assert MlflowRuns(tmp_path / "a", [old]).prefix == "a" == MlflowRuns(tmp_path / "a").prefix
