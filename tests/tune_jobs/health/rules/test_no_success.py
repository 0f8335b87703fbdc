"""Rule ``no_success``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, flat, from_row, rising, seen, severity

from tune_jobs.health.rules.rewards import NoSuccess

RULE = NoSuccess()


SHAPED: Metrics = {"success_rate": 0.0, "episodes": 20, "reward_std": 0.3}


def test_shaping_rewards_without_a_success_are_found():
    assert seen(RULE, 50, 100, score=flat(50), **SHAPED) == ("warn", 1)
    assert seen(RULE, 60, 100, score=flat(60), **SHAPED) == ("stop", 1)


def test_a_rising_score_without_success_only_warns():
    assert seen(RULE, 90, 100, score=rising(90), **SHAPED) == ("warn", 1)


def test_a_success_found_late_is_healthy():
    late: Metrics = {**SHAPED, "success_rate": from_row(42, 0.1, 0.0)}
    for n in range(1, 101):
        assert seen(RULE, n, 100, score=flat(n), **late) is None


def test_where_no_reward_moves_another_rule_says_more():
    metrics: Metrics = {**SHAPED, "reward_std": 0.0, "return_mean": -50.0}
    assert seen(RULE, 90, 100, score=flat(90), **metrics) is None


def test_a_log_of_others_has_only_the_return():
    metrics: Metrics = {"success_rate": 0.0, "return_mean_100": flat(120)}
    assert seen(RULE, 120, score=flat(120), **metrics) == ("stop", 1)


def test_few_episodes_little_budget_or_no_number_say_nothing():
    few: Metrics = {**SHAPED, "episodes": 1}
    assert seen(RULE, 90, 100, score=flat(90), **few) is None
    assert seen(RULE, 49, 100, score=flat(49), **SHAPED) is None
    unknown: Metrics = {**SHAPED, "success_rate": math.nan}
    assert seen(RULE, 90, 100, score=flat(90), **unknown) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"episodes": 1.7}, "stop"),
        ({"episodes": 1.6}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(60), **SHAPED, **change}
    assert severity(RULE, 60, 100, **metrics) == expected


def test_it_asks_for_a_stop_from_three_fifths_of_the_budget():
    assert severity(RULE, 59, 100, score=flat(59), **SHAPED) == "warn"
    assert severity(RULE, 60, 100, score=flat(60), **SHAPED) == "stop"
