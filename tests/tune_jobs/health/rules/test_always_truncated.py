"""Rule ``always_truncated``: sick and healthy runs, each threshold, warm-up and NaN."""

import pytest
from health_runs import (
    Metrics,
    assert_needs_last,
    assert_skips_nan,
    assert_starts_at,
    flat,
    rising,
    seen,
    severity,
)

from tune_jobs.health.rules.thresholds_of_rollouts import AlwaysTruncated

RULE = AlwaysTruncated()


CUT: Metrics = {"truncated_fraction": 1.0, "episode_length": 200.0}


def test_it_is_no_more_than_a_note():
    assert seen(RULE, 60, score=[-200.0] * 60, **CUT) == ("note", 1)


@pytest.mark.parametrize(
    "change", [{"truncated_fraction": 0.98}, {"episode_length": lambda i: 150.0 + i}]
)
def test_an_end_now_and_then_is_healthy(change: Metrics):
    assert seen(RULE, 60, score=flat(60), **{**CUT, **change}) is None


def test_a_fixed_horizon_in_which_something_is_learnt_is_healthy():
    assert seen(RULE, 60, score=rising(60), **CUT) is None


def test_little_budget_is_too_early():
    assert seen(RULE, 15, 100, score=flat(15), **CUT) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"episode_length": lambda i: 200 * (1 + 0.95e-6 * (i % 2))}, "note"),
        ({"episode_length": lambda i: 200 * (1 + 1.05e-6 * (i % 2))}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(60), **CUT, **change}
    assert severity(RULE, 60, **metrics) == expected


def test_the_last_ten_rows_must_all_be_sick():
    assert_needs_last(RULE, 10, "truncated_fraction", 1.0, 0.9, score=flat(60), episode_length=200)


def test_it_waits_for_a_fifth_of_the_budget():
    assert_starts_at(RULE, 20, 100, score=flat(100), **CUT)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULE, 60, "truncated_fraction", 1.0, score=flat(60), episode_length=200)
