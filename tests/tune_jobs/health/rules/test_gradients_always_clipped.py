"""Rule ``gradients_always_clipped``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import (
    Metrics,
    assert_judges_median,
    flat,
    from_row,
    history,
    rising,
    seen,
    severity,
)

from tune_jobs.health.rules.thresholds_of_updates import GradientsAlwaysClipped

RULE = GradientsAlwaysClipped()


CLIPPED: Metrics = {"grad_clip_fraction": 1.0, "grad_norm": 20.0, "grad_clip": 0.5}


def test_clipped_while_improving_is_healthy():
    assert seen(RULE, 60, score=rising(60), **CLIPPED) is None


def test_clipped_without_improving_is_noted():
    assert seen(RULE, 60, score=flat(60), **CLIPPED) == ("note", 1)


def test_a_norm_of_a_thousand_limits_is_the_cause():
    metrics: Metrics = {**CLIPPED, "grad_norm": 4000.0}
    metrics["grad_clip_fraction"] = from_row(31, 1.0, 0.5)
    assert seen(RULE, 60, score=flat(60), **metrics) == ("stop", 31)


def test_without_the_norm_it_is_a_note():
    assert seen(RULE, 60, score=flat(60), grad_clip_fraction=1.0) == ("note", 1)


def test_rows_without_the_share_are_left_out():
    assert seen(RULE, 60, score=flat(60), grad_clip_fraction=math.nan) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"grad_clip_fraction": 0.96}, "note"),
        ({"grad_clip_fraction": 0.94}, None),
        ({"grad_norm": 505}, "stop"),
        ({"grad_norm": 495}, "note"),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(60), **CLIPPED, **change}
    assert severity(RULE, 60, **metrics) == expected


def test_the_median_of_ten_rows_is_judged():
    assert_judges_median(RULE, 10, "grad_clip_fraction", 1.0, 0.5, 0.5, score=flat(60))


def test_a_small_norm_is_given_as_a_multiple_of_its_limit():
    metrics: Metrics = {**CLIPPED, "grad_norm": 0.8, "grad_clip": 0.1}
    finding = RULE(history(60, score=flat(60), **metrics))
    assert finding and "the norm is 8 times the limit" in finding.evidence
