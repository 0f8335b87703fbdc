# pyright: basic
"""TensorBoard gets each metric as a number, although results hold them as JSON."""

import json
from types import SimpleNamespace

from tune_jobs.trackers.tensorboard import TensorBoardCurves


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
