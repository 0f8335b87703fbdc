"""Rule ``v_star_pessimistic``: sick and healthy runs, each threshold, warm-up and NaN."""

import pytest
from health_runs import (
    Metrics,
    assert_needs_last,
    assert_skips_nan,
    assert_starts_at,
    flat,
    history,
    rising,
    seen,
    severity,
)

from tune_jobs.health.rules.v_star import VStarPessimistic

RULE = VStarPessimistic()


POSITIVE: Metrics = {
    "advantage_negative_fraction": 0.0,
    "advantage_mean": 0.4,
    "advantage_std": 0.2,
}


def test_advantages_all_positive_are_warned_about():
    finding = RULE(history(27, score=flat(27), **POSITIVE))
    assert finding
    assert (finding.severity, finding.since) == ("warn", 1)
    assert "beat V* (the last by 0.4 on average)" in finding.evidence


def test_advantages_next_to_zero_are_warned_about():
    zero: Metrics = {"advantage_mean": 1e-4, "advantage_std": 1e-3}
    metrics: Metrics = {**zero, "advantage_negative_fraction": 0.5}
    assert seen(RULE, 27, score=flat(27), **metrics) == ("warn", 1)


def test_a_policy_better_than_its_reference_is_healthy():
    assert seen(RULE, 27, score=rising(27), **POSITIVE) is None


def test_both_signs_are_healthy():
    metrics: Metrics = {**POSITIVE, "advantage_negative_fraction": 0.3}
    assert seen(RULE, 27, score=flat(27), **metrics) is None


def test_little_budget_is_too_early():
    assert seen(RULE, 15, 100, score=flat(15), **POSITIVE) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"advantage_negative_fraction": 0.048}, "warn"),
        ({"advantage_negative_fraction": 0.052}, None),
        (
            {"advantage_negative_fraction": 0.5, "advantage_mean": 0.0095, "advantage_std": 0.0095},
            "warn",
        ),
        (
            {"advantage_negative_fraction": 0.5, "advantage_mean": 0.0105, "advantage_std": 0.0105},
            None,
        ),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(27), **POSITIVE, **change}
    assert severity(RULE, 27, **metrics) == expected


def test_the_last_five_rows_must_all_be_sick():
    metrics: Metrics = {"score": flat(27), "advantage_mean": 0.4, "advantage_std": 0.2}
    assert_needs_last(RULE, 5, "advantage_negative_fraction", 0.0, 0.5, **metrics)


def test_it_waits_for_a_fifth_of_the_budget():
    assert_starts_at(RULE, 20, 100, score=flat(100), **POSITIVE)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(
        RULE, 27, "advantage_negative_fraction", 0.0, score=flat(27), advantage_mean=0.4
    )
