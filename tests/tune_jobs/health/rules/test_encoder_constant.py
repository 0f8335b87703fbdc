# pyright: basic
"""Rule ``encoder_constant``: sick and healthy runs, warm-up, NaN, planted faults."""

import math
from typing import Any

import pytest
import torch
from health_runs import Metrics, assert_needs_last, flat, from_row, rising, seen, severity
from ray.rllib.core import DEFAULT_MODULE_ID
from training_loop import record

from tune_jobs.health import diagnose
from tune_jobs.health.rules.thresholds_of_updates import EncoderConstant

RULE = EncoderConstant()
NAME, ALL = "encoder_constant_fraction", "feature_constant_fraction"
TRAINING: dict[str, Any] = {
    **{"num_envs": 8, "rollout_length": 16, "minibatch_size": 64, "epochs": 2, "hidden": (16,)}
}


def findings(history):
    return {finding.symptom: finding.severity for finding in diagnose(history).findings}


@pytest.mark.parametrize(("of_all", "expected"), [(1.0, "stop"), (0.99, "warn"), (None, "warn")])
def test_severity_follows_the_other_parts(of_all, expected):
    metrics: Metrics = {NAME: from_row(4, 1.0, 0.2), ALL: lambda i: of_all}
    assert seen(RULE, 27, score=flat(27), **metrics) == (expected, 4)


def test_features_of_which_a_few_change_are_healthy():
    assert seen(RULE, 27, score=flat(27), **{NAME: 0.99, ALL: 0.99}) is None


def test_a_run_that_learns_without_the_part_is_healthy():
    assert seen(RULE, 60, score=rising(60), **{NAME: 1.0, ALL: 1.0}) is None


def test_the_first_rows_are_too_early():
    assert seen(RULE, 8, 27, score=flat(8), **{NAME: 1.0, ALL: 1.0}) is None


def test_the_last_nine_rows_are_judged():
    assert_needs_last(RULE, 9, NAME, 1.0, 0.9, score=flat(27), **{ALL: 1.0})


def test_rows_without_the_metric_are_left_out():
    metrics: Metrics = {NAME: lambda i: math.nan if i > 25 else 1.0, ALL: 1.0}
    assert severity(RULE, 27, score=flat(27), **metrics) is None


def kill_convolutions(runner, learner):
    """Switch all rectifiers of the last convolution off, through which no gradient passes then."""
    (encoder,) = learner.module[DEFAULT_MODULE_ID].encoders
    last = [layer for layer in encoder.layers if isinstance(layer, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        for weight, value in zip(last.parameters(), (0, -1), strict=True):
            weight.fill_(value)


def test_dead_convolutions_are_found():
    history = record("memory_worlds:Catch-v0", 20, kill_convolutions, **TRAINING)
    assert set(history.series(NAME)) == set(history.series(ALL)) == {1.0}
    assert findings(history)["encoder_constant"] == "stop"


def test_convolutions_that_see_are_healthy():
    history = record("memory_worlds:Catch-v0", 20, **TRAINING)
    assert history.series(NAME).max() < 0.5
    assert "encoder_constant" not in findings(history)


def test_an_image_that_never_changes_is_reported_once():
    history = record("sick_worlds:SickStill-v0", 20, **TRAINING)
    assert not history.has(NAME)  # it is no fault of the encoder
    found = findings(history)
    assert "observation_constant" in found and "encoder_constant" not in found
