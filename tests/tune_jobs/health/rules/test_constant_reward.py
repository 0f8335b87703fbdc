"""Rule ``constant_reward``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, assert_starts_at, from_row, seen, severity

from tune_jobs.health.rules.rewards import ConstantReward

RULE = ConstantReward()


SAME: Metrics = {"return_mean": -200.0, "episodes": 5, "score": -200.0}


def test_returns_that_never_differ_are_warned_about_then_stopped():
    assert seen(RULE, 30, 100, **SAME) == ("warn", 1)
    assert seen(RULE, 60, 100, **SAME) == ("stop", 1)


def test_a_log_of_others_has_only_a_moving_average():
    assert seen(RULE, 60, score=0.0, return_mean_100=0.0) == ("stop", 1)


def test_a_return_of_zero_is_left_to_zero_reward():
    metrics: Metrics = {**SAME, "return_mean": 0.0, "zero_reward_fraction": 1.0}
    assert seen(RULE, 60, 100, **metrics) is None


def test_converged_and_late_runs_are_healthy():
    converged: Metrics = {**SAME, "return_mean": from_row(5, 500.0, 22.0)}
    assert seen(RULE, 100, **converged) is None
    late: Metrics = {**SAME, "return_mean": from_row(41, -120.0, -200.0)}
    assert all(seen(RULE, n, 100, **late) in (None, ("warn", 1)) for n in range(1, 101))


def test_few_episodes_little_budget_or_no_return_say_nothing():
    assert seen(RULE, 30, 100, **{**SAME, "episodes": 1}) is None
    assert seen(RULE, 15, 100, **SAME) is None
    # A budget of a few iterations: one return, or two, are always constant.
    assert seen(RULE, 2, 2, return_mean=30.0, score=30.0) is None
    assert seen(RULE, 3, 3, return_mean=30.0, score=30.0) is not None
    assert seen(RULE, 60, score=1.0, return_mean=math.nan) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"return_mean": lambda i: -200 * (1 + 0.95e-6 * (i % 2))}, "stop"),
        ({"return_mean": lambda i: -200 * (1 + 1.05e-6 * (i % 2))}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {**SAME, **change}
    assert severity(RULE, 60, **metrics) == expected


def test_it_waits_for_rows_budget_and_episodes():
    many: Metrics = {**SAME, "episodes": 20}
    assert_starts_at(RULE, 10, 30, **many)
    assert_starts_at(RULE, 20, 100, **many)
    assert severity(RULE, 20, 60, **{**SAME, "episodes": 2.6}) == "warn"
    assert severity(RULE, 20, 60, **{**SAME, "episodes": 2.4}) is None


def test_it_asks_for_a_stop_from_three_fifths_of_the_budget():
    assert severity(RULE, 59, 100, **SAME) == "warn"
    assert severity(RULE, 60, 100, **SAME) == "stop"


def test_returns_in_half_of_the_rows_are_enough():
    half: Metrics = {**SAME, "episodes": 20, "score": 0.0}
    half["return_mean"] = lambda i: -200.0 if i % 2 else math.nan
    assert seen(RULE, 10, 30, **half) == ("warn", 1)
