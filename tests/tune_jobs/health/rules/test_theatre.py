"""Rule ``theatre``: sick and healthy runs, each threshold, warm-up and NaN."""

import pytest
from health_runs import (
    Curve,
    Metrics,
    assert_judges_median,
    assert_skips_nan,
    assert_starts_at,
    flat,
    rising,
    scores_with_tau,
    seen,
    severity,
)

from tune_jobs.health.rules.choices import Theatre

RULE = Theatre()


LEARNT: Metrics = {
    "log_p_with": -0.05,
    "log_p_without": -1.6,
    "log_p_shuffled": -4.0,
    "log_p_random": -3.3,
}


def thought(n: int, budget: int = 60, **changed: Curve):
    curves: Metrics = {"score": flat(n), **LEARNT, **changed}
    return seen(RULE, n, budget, **curves)


def test_thoughts_that_bring_the_answer_are_healthy():
    assert thought(60) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"log_p_with": -1.6},
        {"log_p_with": -1.55, "log_p_random": -1.6},
        {"log_p_shuffled": -0.5},
        {"log_p_random": -1.4},
    ],
)
def test_thoughts_that_can_be_removed_or_exchanged_are_found(changed: Metrics):
    assert thought(60, **changed) == ("stop", 1)
    assert thought(60, score=rising(60), **changed)[0] == "warn"
    assert thought(30, **changed)[0] == "warn"
    assert thought(10, **changed) is None


def test_a_gain_that_still_rises_is_healthy():
    early: Metrics = {"log_p_with": lambda i: -1.65 + 0.002 * i, "score": rising(30)}
    assert thought(30, **early) is None


def test_an_answer_known_without_a_thought_is_not_judged():
    assert thought(60, log_p_with=-0.01, log_p_without=-0.02) is None


def test_its_beginning_is_when_the_gain_was_lost():
    assert thought(60, log_p_with=lambda i: -0.05 if i < 40 else -1.6)[1] == 40


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"log_p_with": -1.6 + 0.105}, None),
        ({"log_p_with": -1.6 + 0.095}, "stop"),
        ({"log_p_with": -0.1, "log_p_without": -0.105}, "stop"),
        ({"log_p_with": -0.09, "log_p_without": -0.095}, None),
        ({"log_p_shuffled": -0.05 - 0.8}, None),
        ({"log_p_shuffled": -0.05 - 0.75}, "stop"),
        ({"log_p_random": -1.6 + 0.15}, None),
        ({"log_p_random": -1.6 + 0.16}, "stop"),
        ({"log_p_with": [s - 2.6 for s in scores_with_tau(60, 0.19)]}, "stop"),
        ({"log_p_with": [s - 2.6 for s in scores_with_tau(60, 0.21)]}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(60), **LEARNT, **change}
    assert severity(RULE, 60, **metrics) == expected


def test_the_median_of_ten_rows_is_judged():
    metrics: Metrics = {**LEARNT, "score": flat(60)}
    assert_judges_median(RULE, 10, "log_p_with", -1.6, -0.05, -0.05, **metrics)


def test_it_waits_for_three_tenths_of_the_budget():
    metrics: Metrics = {**LEARNT, "log_p_with": -1.6, "score": flat(100)}
    assert_starts_at(RULE, 30, 100, **metrics)
    assert severity(RULE, 59, 100, **metrics) == "warn"
    assert severity(RULE, 60, 100, **metrics) == "stop"


def test_rows_without_a_comparison_are_left_out():
    metrics: Metrics = {**LEARNT, "score": flat(60)}
    assert_skips_nan(RULE, 60, "log_p_with", -1.6, **{n: metrics[n] for n in metrics})


def test_a_gain_equal_to_the_limit_is_none():
    assert RULE._describe_fault(RULE.gain, loss=1.0, random=0.0)
    assert not RULE._describe_fault(1.01 * RULE.gain, loss=1.0, random=0.0)
