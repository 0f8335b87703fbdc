"""Rule ``groups_without_signal``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import (
    Metrics,
    assert_judges_median,
    assert_starts_at,
    flat,
    from_row,
    rising,
    seen,
    severity,
)

from tune_jobs.health.rules.thresholds_of_rollouts import GroupsWithoutSignal

RULE = GroupsWithoutSignal()


@pytest.mark.parametrize(
    ("signal", "severity"), [(0.3, None), (0.2, "note"), (0.05, "warn"), (0.0, "stop")]
)
def test_severity_follows_the_share(signal: float, severity: str | None):
    found = seen(RULE, 27, score=flat(27), group_signal=from_row(9, signal, 0.9))
    assert found == (severity and (severity, 9))


def test_a_solved_task_has_no_signal_and_is_healthy():
    assert seen(RULE, 60, score=rising(60), group_signal=from_row(30, 0.0, 0.8)) is None


def test_the_first_rows_are_too_early():
    assert seen(RULE, 9, 200, score=flat(9), group_signal=0.0) is None


def test_rows_without_the_share_are_left_out():
    assert seen(RULE, 27, score=flat(27), group_signal=math.nan) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"group_signal": 0.26}, None),
        ({"group_signal": 0.24}, "note"),
        ({"group_signal": 0.11}, "note"),
        ({"group_signal": 0.09}, "warn"),
        ({"group_signal": 0.02}, "warn"),
        ({"group_signal": 0.005}, "stop"),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(27), **change}
    assert severity(RULE, 27, **metrics) == expected


def test_the_median_of_five_rows_is_judged():
    assert_judges_median(RULE, 5, "group_signal", 0.0, 1.0, 0.3, score=flat(27))


def test_it_waits_for_a_tenth_of_the_budget():
    assert_starts_at(RULE, 20, 200, score=flat(200), group_signal=0.0)


def test_its_beginning_is_where_the_fraction_exceeds_the_limit():
    at_limit: Metrics = {"group_signal": from_row(9, 0.2, 1 - RULE.note)}
    assert seen(RULE, 27, score=flat(27), **at_limit) == ("note", 9)
