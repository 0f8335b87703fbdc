# pyright: basic, reportArgumentType=false
"""A tracker never ends training."""

import json
import os
from types import SimpleNamespace

import pytest

from envs.validation import InputError
from tune_jobs.trackers.remote_runs import MlflowRuns, WandbRuns
from tune_jobs.trackers.tracker import (
    PAUSE_RATIO,
    PAUSE_S,
    TensorBoardCurves,
    Tracker,
    check_trackers,
    make_trackers,
)


class Broken:
    """A tracker whose server is away for a while; each attempt takes some seconds."""

    def __init__(self, clock, takes=0.0):
        self.clock, self.takes, self.away, self.calls = clock, takes, True, []

    def log_trial_result(self, iteration, trial, result):
        self.clock.now += self.takes
        self.calls.append(iteration)
        if self.away:
            raise ConnectionError("no route to host\n  in urllib3")

    log_trial_end = setup = log_trial_start = log_trial_result


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("takes", "pause"), [(0.0, PAUSE_S), (20.0, 20 * PAUSE_RATIO)])
def test_a_tracker_that_fails_is_one_warning_and_is_tried_again(capsys, takes, pause):
    clock = Clock()
    broken = Broken(clock, takes)
    tracker = Tracker("W&B", broken, clock)
    for at in (1, 2, 3):
        tracker.log_trial_result(at, None, {})
    assert broken.calls == [1]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "W&B failed (no route to host)" in said
    clock.now += pause
    broken.away = False
    for at in (4, 5):
        tracker.log_trial_result(at, None, {})
    assert broken.calls == [1, 4, 5] and capsys.readouterr().err == ""


def test_every_tracker_of_a_run_may_fail(tmp_path, monkeypatch):
    monkeypatch.setenv(WandbRuns.VARIABLE, "p")
    monkeypatch.setenv(MlflowRuns.VARIABLE, "e")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "gopher://nowhere")
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)  # cannot be imported
    found = make_trackers(tmp_path)
    assert [tracker.name for tracker in found] == ["TensorBoard", "W&B", "MLflow"]
    for tracker in found:
        tracker.setup()
        tracker.log_trial_result(1, None, {"trial": "00"})
        tracker.log_trial_end(None)


@pytest.mark.parametrize(
    "uri",
    ["file:///tmp/mlruns", "gopher://nowhere", "http://127.0.0.1:9"],
    ids=["file", "?", "off"],
)
def test_unusable_mlflow_is_refused_before_the_start(uri, monkeypatch):
    pytest.importorskip("mlflow", reason="pip install 'rungwise[mlflow]'")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv(MlflowRuns.VARIABLE, "e")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI") as refused:
        check_trackers()
    assert uri in str(refused.value) and "\n" not in str(refused.value)


@pytest.fixture
def wandb():
    yield pytest.importorskip("wandb", reason="pip install 'rungwise[wandb]'")
    # It leaves the address of its server there: commands of other tests would report to that one.
    os.environ.pop("WANDB_SERVICE", None)


def test_a_w_and_b_without_a_key_is_refused_before_the_start(wandb, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(WandbRuns.VARIABLE, "p")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")
    wandb.teardown()
    with pytest.raises(InputError, match=r"it has no API key.*WANDB_MODE=offline"):
        check_trackers()
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb.teardown()
    check_trackers()


def test_metrics_are_written_one_by_one(tmp_path, monkeypatch):
    points = {}
    curves = TensorBoardCurves()
    writer = SimpleNamespace(
        add_scalar=lambda name, value, global_step: points.update({name: (value, global_step)}),
        flush=lambda: None,
    )
    trial = object()
    monkeypatch.setattr(curves, "_trial_writer", {trial: writer})
    metrics = json.dumps({"kl": 0.1, "env_steps": 5})
    result = {"trial": "00", "iteration": 3, "score": None, "metrics": metrics}
    curves.log_trial_result(3, trial, result)
    assert points["ray/tune/kl"] == (0.1, 3) and points["ray/tune/env_steps"] == (5, 3)
    assert "ray/tune/score" not in points and "ray/tune/metrics" not in points
