# pyright: basic, reportArgumentType=false
"""A tracker never ends training."""

import importlib
import json
import math
import os
from types import SimpleNamespace

import pytest

from rungwise.logs.discovery import find_readers
from rungwise.logs.read_logs import read_logs
from rungwise.validation import InputError
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


@pytest.mark.parametrize("is_later", [False, True])
def test_a_trial_that_ends_in_a_pause_is_ended_after_it(is_later):
    clock, ended = Clock(), []
    broken = SimpleNamespace(
        log_trial_result=lambda *_: 1 / 0,
        log_trial_end=lambda trial, failed: ended.append((trial, failed)),
    )
    tracker = Tracker("MLflow", broken, clock)
    tracker.log_trial_result(1, None, {})
    tracker.log_trial_end("00", failed=True)
    assert not ended
    if is_later:
        clock.now += PAUSE_S
        tracker.log_trial_end("01")
    tracker.on_experiment_end([])
    assert ended == [("00", True), ("01", False)][: 1 + is_later]


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


SETTINGS = {"lr": 0.01, "hidden": [16, 16]}


@pytest.fixture
def events(tmp_path):
    """The event files of a trial that paused at a rung between its results."""
    curves = TensorBoardCurves(tmp_path)
    trial = SimpleNamespace(config={"plan": {"trial": "00", "config": SETTINGS}})
    metrics = {"kl": 0.1, "value_loss": 2.0, "return_mean": math.nan, "excess_risk": 3.0}
    metrics |= {"nonfinite": 0, "entropy": 0.5}
    for at, score in ((1, None), (2, 4.0), (3, 5.0)):
        curves.log_trial_start(trial)
        logged = json.dumps(metrics | {"env_steps": 5 * at})
        result = {"trial": "00", "iteration": at, "score": score, "metrics": logged}
        curves.log_trial_result(at, trial, result)
    curves.log_trial_end(trial)
    return list((tmp_path / "tensorboard" / "00").iterdir())


def test_curves_are_written_in_groups_to_one_file(events):
    (file,) = events
    rows = find_readers(file)[0].read(final=True)
    assert [row.location for row in rows] == ["step 1", "step 2", "step 3"]
    assert rows[2].values == pytest.approx(
        {
            **{"train/kl": 0.1, "train/value_loss": 2.0, "train/entropy": 0.5, "score": 5.0},
            **{"rollout/excess_risk": 3.0, "health/nonfinite": 0.0, "time/env_steps": 15.0},
        }
    )
    assert "score" not in rows[0].values


def test_the_hparams_plugin_has_the_searched_settings_and_the_score(events):
    event_pb2 = importlib.import_module("tensorboardX.proto.event_pb2")
    plugin = importlib.import_module("tensorboardX.proto.plugin_hparams_pb2").HParamsPluginData
    data, at, found = events[0].read_bytes(), 0, {}
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        for value in event_pb2.Event.FromString(data[at + 12 : at + 12 + size]).summary.value:
            if value.tag.startswith("_hparams_/"):
                content = plugin.FromString(value.metadata.plugin_data.content)
                found[value.tag.removeprefix("_hparams_/")] = content
        at += 16 + size
    assert set(found) == {"experiment", "session_start_info", "session_end_info"}
    assert [metric.name.tag for metric in found["experiment"].experiment.metric_infos] == ["score"]
    hparams = found["session_start_info"].session_start_info.hparams
    assert hparams["lr"].number_value == 0.01 and hparams["hidden"].string_value == "[16, 16]"


def test_doctor_reads_the_groups_as_ours_and_not_as_those_of_sb3(events):
    (log,) = read_logs(events[0])
    row = log.rows[-1]
    assert (row["value_loss"], row["entropy"], row["env_steps"]) == (2.0, 0.5, 15.0)
    assert row["kl"] == pytest.approx(0.1)


def test_tensorboard_itself_reads_the_file(events):
    name = "tensorboard.backend.event_processing.event_accumulator"
    module = pytest.importorskip(name, reason="pip install tensorboard")
    accumulator = module.EventAccumulator(str(events[0]))
    accumulator.Reload()
    assert [(e.step, e.value) for e in accumulator.Scalars("score")] == [(2, 4.0), (3, 5.0)]
