"""Rule ``dead_units``: sick and healthy runs, each threshold, warm-up and NaN."""

import pytest
from health_runs import (
    Metrics,
    assert_judges_median,
    assert_skips_nan,
    flat,
    from_row,
    rising,
    seen,
    severity,
)

from tune_jobs.health.rules.thresholds_of_updates import DeadUnits

RULE = DeadUnits()


@pytest.mark.parametrize(("share", "severity"), [(0.4, None), (0.7, "warn"), (1.0, "stop")])
def test_severity_follows_the_share(share: float, severity: str | None):
    found = seen(RULE, 27, score=flat(27), dead_unit_fraction=from_row(4, share, 0.1))
    assert found == (severity and (severity, 4))


def test_a_network_that_learns_with_few_units_is_healthy():
    assert seen(RULE, 60, score=rising(60), dead_unit_fraction=0.8) is None


def test_the_first_rows_are_too_early():
    assert seen(RULE, 4, 27, score=flat(4), dead_unit_fraction=1.0) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"dead_unit_fraction": 0.48}, None),
        ({"dead_unit_fraction": 0.52}, "warn"),
        ({"dead_unit_fraction": 0.98}, "warn"),
        ({"dead_unit_fraction": 0.995}, "stop"),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(27), **change}
    assert severity(RULE, 27, **metrics) == expected


def test_the_median_of_five_rows_is_judged():
    assert_judges_median(RULE, 5, "dead_unit_fraction", 1.0, 0.0, 0.45, score=flat(27))


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULE, 27, "dead_unit_fraction", 1.0, score=flat(27))
