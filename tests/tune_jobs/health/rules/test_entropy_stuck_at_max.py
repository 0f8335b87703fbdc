"""Rule ``entropy_stuck_at_max``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import numpy as np
import pytest
from health_runs import (
    Metrics,
    assert_starts_at,
    flat,
    from_row,
    rising,
    scores_with_tau,
    seen,
    severity,
)

from tune_jobs.health.rules.entropy import EntropyStuckAtMax

RULE = EntropyStuckAtMax()


MOVES: Metrics = {"entropy": 1.3, "kl": 1e-4, "clip_fraction": 0.0}


SICK: Metrics = {**MOVES, "entropy_normalised": 0.995}


def test_a_lottery_is_warned_about():
    assert seen(RULE, 27, 81, score=flat(27), **SICK) == ("warn", 1)
    assert seen(RULE, 60, score=flat(60), **SICK) == ("warn", 1)


def test_an_entropy_that_falls_is_healthy_before_the_score_rises():
    falls: Metrics = {**MOVES, "entropy_normalised": lambda i: 1 - 0.003 * i}
    for n in range(1, 28):
        assert seen(RULE, n, 60, score=flat(n), **falls) is None


def test_a_run_that_learns_or_begins_to_is_healthy():
    assert seen(RULE, 60, score=rising(60), **SICK) is None
    begins = (0.01 * np.arange(20) + flat(20, noise=0.1)).tolist()
    assert seen(RULE, 20, 60, score=begins, **SICK) is None


def test_a_policy_that_stands_still_is_called_frozen_instead():
    frozen: Metrics = {**SICK, "kl": 1e-9}
    assert seen(RULE, 27, score=flat(27), **frozen) is None


def test_few_rows_and_rows_without_entropy_are_silent():
    assert seen(RULE, 15, 100, score=flat(15), **SICK) is None
    assert seen(RULE, 11, 40, score=flat(11), **SICK) is None
    unknown: Metrics = {**SICK, "entropy_normalised": from_row(28, 0.995, math.nan)}
    assert seen(RULE, 30, score=flat(30), **unknown) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"entropy_normalised": 0.985}, "warn"),
        ({"entropy_normalised": 0.975}, None),
        ({"entropy_normalised": 0.9995, "score": scores_with_tau(60, 0.5)}, "warn"),
        ({"entropy_normalised": 0.9985, "score": scores_with_tau(60, 0.5)}, None),
        ({"entropy_normalised": from_row(51, 0.9855, 0.995)}, "warn"),
        ({"entropy_normalised": from_row(51, 0.9845, 0.995)}, None),
        ({"score": scores_with_tau(60, 0.29)}, "warn"),
        ({"score": scores_with_tau(60, 0.31)}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(60), **SICK, **change}
    assert severity(RULE, 60, **metrics) == expected


def test_it_waits_for_twelve_rows_and_a_fifth_of_the_budget():
    assert_starts_at(RULE, 12, 36, score=flat(36), **SICK)
    assert_starts_at(RULE, 20, 100, score=flat(100), **SICK)


def test_an_entropy_equal_to_the_limit_has_fallen():
    metrics: Metrics = {**SICK, "score": flat(30)}
    assert seen(RULE, 30, **{**metrics, "entropy_normalised": RULE.normalised}) is None
    assert seen(RULE, 30, **{**metrics, "entropy_normalised": RULE.normalised + 1e-6})
