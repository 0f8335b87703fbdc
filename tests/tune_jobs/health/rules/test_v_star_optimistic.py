"""Rule ``v_star_optimistic``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import (
    Metrics,
    assert_judges_median,
    assert_starts_at,
    flat,
    from_row,
    history,
    rising,
    seen,
    severity,
)

from tune_jobs.health.rules.v_star import VStarOptimistic

RULE = VStarOptimistic()


NEGATIVE: Metrics = {"advantage_negative_fraction": 1.0, "advantage_mean": -0.8}


def test_advantages_all_negative_are_warned_about():
    metrics: Metrics = {**NEGATIVE, "return_mean": 0.1, "advantage_std": 0.05}
    finding = RULE(history(27, score=flat(27), **metrics))
    assert finding
    assert (finding.severity, finding.since) == ("warn", 1)
    assert "by 0.8 on average (returns 0.1, V* 0.9), 16 times the" in finding.evidence


def test_a_run_below_its_reference_that_learns_is_healthy():
    metrics: Metrics = {
        "advantage_negative_fraction": lambda i: max(0.3, 1 - 0.05 * i),
        "advantage_mean": lambda i: -0.5 + 0.02 * i,
    }
    assert seen(RULE, 27, score=flat(27), **metrics) is None
    assert seen(RULE, 27, score=rising(27), **NEGATIVE) is None


def test_little_budget_is_too_early():
    assert seen(RULE, 15, 100, score=flat(15), **NEGATIVE) is None


def test_rows_without_a_number_are_left_out():
    metrics: Metrics = {**NEGATIVE, "advantage_negative_fraction": math.nan}
    assert seen(RULE, 27, score=flat(27), **metrics) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"advantage_negative_fraction": 0.96}, "warn"),
        ({"advantage_negative_fraction": 0.94}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(27), **NEGATIVE, **change}
    assert severity(RULE, 27, **metrics) == expected


@pytest.mark.parametrize(("std", "extreme"), [(0.078, True), (0.082, False)])
def test_a_distance_of_ten_deviations_is_in_the_evidence(std: float, extreme: bool):
    finding = RULE(history(27, score=flat(27), **NEGATIVE, advantage_std=std))
    assert finding
    assert ("times the standard deviation" in finding.evidence) is extreme


def test_the_median_of_five_rows_is_judged():
    metrics: Metrics = {"advantage_mean": -0.8, "score": flat(27)}
    assert_judges_median(RULE, 5, "advantage_negative_fraction", 1.0, 0.5, 0.94, **metrics)


def test_it_waits_for_a_fifth_of_the_budget():
    assert_starts_at(RULE, 20, 100, score=flat(100), **NEGATIVE)


def test_a_fraction_equal_to_the_threshold_is_healthy():
    metrics: Metrics = {**NEGATIVE, "advantage_negative_fraction": RULE.negative_fraction}
    assert seen(RULE, 27, score=flat(27), **metrics) is None


def test_its_beginning_is_where_the_fraction_exceeds_the_limit():
    at_limit: Metrics = {**NEGATIVE}
    at_limit["advantage_negative_fraction"] = from_row(9, 1.0, RULE.negative_fraction)
    assert seen(RULE, 27, score=flat(27), **at_limit) == ("warn", 9)
