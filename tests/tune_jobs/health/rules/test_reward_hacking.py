"""Rule ``reward_hacking``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import numpy as np
import pytest
from health_runs import (
    Curve,
    Metrics,
    assert_starts_at,
    flat,
    history,
    rising,
    scores_with_tau,
    seen,
    severity,
)

from tune_jobs.health.rules.rewards import NoSuccess, RewardHacking

RULE = RewardHacking()


def falling(n: int, high: float = 0.8, low: float = 0.4) -> list[float]:
    """A success rate: kept for a tenth of the rows, then it falls within another tenth."""
    t = np.clip(10 * np.arange(n) / n - 1, 0, 1)
    noise = np.random.default_rng(2).normal(0, 0.04, n)
    return np.clip(high + (low - high) * t + noise, 0, 1).tolist()


def hacked(n: int, budget: int = 60, **changed: Curve):
    curves: Metrics = {
        "episodes": 30,
        "return_mean": rising(n, 1.0, 4.0),
        "success_rate": falling(n),
    }
    return seen(RULE, n, budget, **curves | changed)


def stepped(before: float, after: float, rows: int = 60, noise: float = 0.0) -> list[float]:
    """One level for 20 rows (a third of fewer), then another, with a noise that alternates."""
    first = min(20, rows // 3)
    levels = [before] * first + [after] * (rows - first)
    return [level + noise * (-1) ** i for i, level in enumerate(levels)]


def test_success_that_falls_while_the_return_rises_is_found():
    assert hacked(20)[0] == "warn"
    assert hacked(60, success_rate=falling(60, 0.8, 0.3))[0] == "stop"
    assert hacked(60, success_rate=falling(60, 0.3, 0.0))[0] == "stop"
    returns, rate = rising(60, 1, 4), falling(60)
    finding = RULE(history(60, episodes=30, return_mean=returns, success_rate=rate))
    assert finding and "from 76% to 41%" in finding.evidence


def test_success_that_was_learnt_first_and_then_lost_is_found():
    rate = [*np.linspace(0.1, 0.8, 20), *np.linspace(0.8, 0.1, 20), *[0.1] * 20]
    assert hacked(60, success_rate=rate)[0] == "stop"


def test_success_that_does_not_rise_is_found_late():
    rate = flat(60, 0.3, 0.05)
    assert hacked(30, success_rate=rate[:30]) is None
    assert hacked(60, success_rate=rate)[0] == "warn"


@pytest.mark.parametrize(
    ("rate", "why"),
    [
        (rising(60, 0.1, 0.9), "success rises with the return"),
        ([*flat(25, 0.1, 0.03), *rising(35, 0.1, 0.8)], "success rises later"),
        (flat(60, 0.97, 0.02), "success cannot rise further"),
        ([0.3, *np.zeros(4), *rising(55, 0.0, 0.7)], "a lucky start"),
        ([0.0] * 60, "nothing ever succeeded: no_success reports it"),
    ],
)
def test_healthy_courses_of_success_are_silent(rate: Curve, why: str):
    for n in range(8, 61):
        rates = list(map(float, rate[:n]))
        assert hacked(n, success_rate=rates, return_mean=rising(60, 1, 4)[:n]) is None, why


def test_a_rare_success_has_not_fallen():
    rate = (np.random.default_rng(3).binomial(30, 0.02, 60) / 30).tolist()
    found = [hacked(n, success_rate=rate[:n], return_mean=rising(60, 1, 4)[:n]) for n in range(61)]
    assert found[:36] == [None] * 36
    assert {severity for severity, _ in filter(None, found[36:])} <= {"warn"}


def test_a_fall_of_both_is_no_hacking():
    assert hacked(60, return_mean=rising(60, 4.0, 1.0)) is None


def test_hacking_and_no_success_exclude_each_other():
    for rate in ([0.0] * 60, falling(60, 0.8, 0.0), falling(60)):
        metrics: Metrics = {"score": rising(60, 1, 4), "return_mean": rising(60, 1, 4)}
        run = history(60, **metrics, success_rate=rate, reward_std=1.0, episodes=30)
        assert (RULE(run) is None) != (NoSuccess()(run) is None)


@pytest.mark.parametrize(
    ("rate", "returns", "expected"),
    [
        (stepped(0.8, 0.55), stepped(10, 20), "warn"),
        (stepped(0.8, 0.57), stepped(10, 20), None),
        (stepped(0.3, 0.195), stepped(10, 20), "warn"),
        (stepped(0.3, 0.205), stepped(10, 20), None),
        (stepped(0.8, 0.2), stepped(10, 10.55), "warn"),
        (stepped(0.8, 0.2), stepped(10, 10.5), None),
        (stepped(0.8, 0.5, noise=0.2), stepped(10, 20), "warn"),
        (stepped(0.8, 0.5, noise=0.22), stepped(10, 20), None),
    ],
)
def test_a_fall_at_each_threshold(rate: Curve, returns: Curve, expected: str | None):
    metrics: Metrics = {"success_rate": rate, "return_mean": returns, "episodes": 30}
    assert severity(RULE, 60, 120, **metrics) == expected


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ([0.89] * 60, "warn"),
        ([0.91] * 60, None),
        ([0.3 * s for s in scores_with_tau(60, 0.19)], "warn"),
        ([0.3 * s for s in scores_with_tau(60, 0.21)], None),
    ],
)
def test_flat_success_at_each_threshold(rate: Curve, expected: str | None):
    metrics: Metrics = {"success_rate": rate, "return_mean": rising(60, 1, 4), "episodes": 30}
    assert severity(RULE, 60, **metrics) == expected


def test_it_stops_late_and_only_after_a_large_fall():
    returns: Metrics = {"return_mean": stepped(10, 20), "episodes": 30}
    assert severity(RULE, 60, 100, success_rate=stepped(0.8, 0.47), **returns) == "stop"
    assert severity(RULE, 60, 100, success_rate=stepped(0.8, 0.49), **returns) == "warn"
    assert severity(RULE, 59, 100, success_rate=stepped(0.8, 0.47), **returns) == "warn"


def test_it_waits_for_rows_and_budget():
    short: Metrics = {"success_rate": stepped(0.8, 0.2, 15), "return_mean": stepped(10, 20, 15)}
    assert_starts_at(RULE, 15, 45, **short)
    longer: Metrics = {"success_rate": stepped(0.8, 0.2, 20), "return_mean": stepped(10, 20, 20)}
    assert_starts_at(RULE, 20, 100, **longer)
    even: Metrics = {"success_rate": 0.3, "return_mean": rising(60, 1, 4), "episodes": 30}
    assert_starts_at(RULE, 60, 100, **even)


def test_rows_without_both_metrics_are_left_out():
    rate = [math.nan if i % 2 else value for i, value in enumerate(stepped(0.8, 0.2))]
    assert severity(RULE, 60, success_rate=rate, return_mean=stepped(10, 20)) == "stop"
    assert severity(RULE, 60, success_rate=math.nan, return_mean=stepped(10, 20)) is None
