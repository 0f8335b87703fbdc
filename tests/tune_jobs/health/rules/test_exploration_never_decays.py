"""Rule ``exploration_never_decays``: sick and healthy runs, each threshold, warm-up and NaN."""

import pytest
from health_runs import (
    Metrics,
    assert_needs_last,
    assert_skips_nan,
    assert_starts_at,
    seen,
    severity,
)

from tune_jobs.health.rules.thresholds_of_rollouts import ExplorationNeverDecays

RULE = ExplorationNeverDecays()


def test_exploration_that_never_decays_is_found_late():
    assert seen(RULE, 40, exploration_rate=1.0) == ("warn", 1)
    assert seen(RULE, 20, 40, exploration_rate=1.0) is None  # half of the run may explore


def test_a_rate_that_decays_is_healthy():
    assert seen(RULE, 40, exploration_rate=lambda i: max(0.05, 1 - 0.05 * i)) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"exploration_rate": 0.91}, "warn"),
        ({"exploration_rate": 0.89}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": 1.0, **change}
    assert severity(RULE, 40, **metrics) == expected


def test_the_last_five_rows_must_all_be_sick():
    assert_needs_last(RULE, 5, "exploration_rate", 1.0, 0.5)


def test_it_waits_for_three_fifths_of_the_budget():
    assert_starts_at(RULE, 60, 100, exploration_rate=1.0)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULE, 40, "exploration_rate", 1.0, score=1.0)
