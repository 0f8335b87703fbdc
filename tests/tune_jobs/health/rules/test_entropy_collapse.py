"""Rule ``entropy_collapse``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import (
    Metrics,
    assert_starts_at,
    flat,
    from_row,
    history,
    rising,
    scores_with_tau,
    seen,
    severity,
)

from tune_jobs.health.rules.entropy import EntropyCollapse

RULE = EntropyCollapse()


def test_a_collapse_is_found():
    # The edges post-mortem: 8.83 nats of 8.96 fall to 0.004, the reward stays flat.
    entropy = [8.83 * math.exp(-0.5 * i) + 0.004 for i in range(40)]
    normalised = [value / 8.96 for value in entropy]
    metrics: Metrics = {"score": flat(40), "entropy": entropy}
    assert seen(RULE, 40, **metrics) == ("stop", 12)
    assert seen(RULE, 40, **metrics, entropy_normalised=normalised) == ("stop", 7)


def test_late_entropy_near_zero_after_the_return_rose_is_healthy():
    metrics: Metrics = {
        "entropy": lambda i: 1.4 * 0.9**i,
        "entropy_normalised": lambda i: 0.9**i,
    }
    assert seen(RULE, 100, score=rising(100), **metrics) is None


def test_an_entropy_that_is_only_low_is_healthy():
    metrics: Metrics = {"score": flat(40), "entropy": 0.2, "entropy_normalised": 0.14}
    assert seen(RULE, 40, **metrics) is None


def test_a_continuous_policy_may_have_negative_entropy():
    assert seen(RULE, 40, score=flat(40), entropy=lambda i: 0.5 - 0.05 * i) is None


def test_a_continuous_policy_that_narrows_is_warned_about():
    entropy: Metrics = {"entropy": lambda i: 1.4 - 0.2 * i}
    assert seen(RULE, 40, score=flat(40), **entropy) == ("warn", 22)


def test_rows_without_the_entropy_are_left_out():
    entropy: Metrics = {"entropy": lambda i: math.nan if i % 2 else 0.0}
    assert seen(RULE, 40, score=flat(40), **entropy) == ("stop", 28)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"entropy_normalised": 0.048}, "stop"),
        ({"entropy_normalised": 0.052}, None),
        ({"entropy": 0.048}, "stop"),
        ({"entropy": 0.052}, None),
        ({"entropy": RULE.nats}, None),
        ({"entropy_normalised": RULE.normalised}, None),
        ({"entropy": from_row(5, 1 - 3.95, 1.0)}, "warn"),
        ({"entropy": from_row(5, 1 - 3.85, 1.0)}, None),
        ({"entropy": 0.01, "score": scores_with_tau(40, 0.29)}, "stop"),
        ({"entropy": 0.01, "score": scores_with_tau(40, 0.31)}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(40), "entropy": 0.2, **change}
    assert severity(RULE, 40, **metrics) == expected


def test_it_waits_for_eight_rows():
    assert_starts_at(RULE, 8, 30, score=1.0, entropy=0.01)


def test_a_score_that_tends_upwards_clears_a_certain_policy():
    nearly = [19.0 + 0.9 * i / 60 for i in range(60)]  # had learnt by its first row
    assert history(60, score=nearly).improved is False
    assert seen(RULE, 60, entropy=0.01, score=nearly) is None
    assert seen(RULE, 60, entropy=0.01, score=flat(60)) is not None
