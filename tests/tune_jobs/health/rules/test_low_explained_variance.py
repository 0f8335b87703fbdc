"""Rule ``low_explained_variance``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

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

from tune_jobs.health.rules.values import LowExplainedVariance

RULE = LowExplainedVariance()


NOISE: Metrics = {"explained_variance": flat(60, 0.0, 0.01), "value_loss": 1.0}


def test_a_critic_that_explains_nothing_is_found():
    # With the default policy this is no more than a warning (see the doctor's tests).
    assert seen(RULE, 60, score=flat(60), **NOISE) == ("stop", 1)


def test_near_zero_with_a_saturated_return_is_healthy():
    metrics: Metrics = {
        "explained_variance": from_row(15, 0.0, 0.6),
        "value_loss": lambda i: 1.0 / i,
    }
    assert seen(RULE, 60, score=[*rising(20), *([1.0] * 40)], **metrics) is None


def test_a_growing_value_loss_is_noted_though_the_score_improves():
    metrics: Metrics = {**NOISE, "value_loss": lambda i: 0.1 * i}
    assert seen(RULE, 60, score=rising(60), **metrics) == ("note", 1)


def test_a_critic_that_sometimes_explains_is_healthy():
    metrics: Metrics = {"explained_variance": lambda i: 0.5 if i % 4 == 0 else 0.0}
    assert seen(RULE, 60, score=flat(60), **metrics) is None


def test_nan_says_nothing():
    metrics: Metrics = {"explained_variance": lambda i: 0.0 if i % 4 == 0 else math.nan}
    assert seen(RULE, 60, score=flat(60), **metrics) is None


def test_it_judges_short_trials_from_half_of_their_budget():
    assert seen(RULE, 13, 27, score=flat(27), **NOISE) is None
    assert seen(RULE, 14, 27, score=flat(27), **NOISE) == ("stop", 1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"explained_variance": 0.045}, "stop"),
        ({"explained_variance": 0.055}, None),
        ({"explained_variance": lambda i: 0.0 if i % 5 else 0.19}, "stop"),
        ({"explained_variance": lambda i: 0.0 if i % 5 else 0.21}, None),
        ({"explained_variance": 0.0, "score": scores_with_tau(60, 0.29)}, "stop"),
        ({"explained_variance": 0.0, "score": scores_with_tau(60, 0.31)}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(60), "value_loss": 1.0, **change}
    assert severity(RULE, 60, **metrics) == expected


@pytest.mark.parametrize(("growth", "expected"), [(2.1, "note"), (1.9, None)])
def test_a_run_that_learns_is_noted_from_a_twofold_loss(growth: float, expected: str | None):
    metrics: Metrics = {"explained_variance": 0.0, "value_loss": from_row(41, growth, 1.0)}
    assert severity(RULE, 60, score=rising(60), **metrics) == expected


def test_it_waits_for_fifteen_rows_and_a_fifth_of_the_budget():
    assert_starts_at(RULE, 15, 45, score=flat(45), **NOISE)
    even: Metrics = {"explained_variance": 0.0}
    assert_starts_at(RULE, 20, 100, score=flat(100), **even)


def test_few_value_losses_say_nothing_about_their_growth():
    metrics: Metrics = {**NOISE, "value_loss": lambda i: 0.1 * i if i <= 5 else None}
    assert seen(RULE, 60, score=rising(60), **metrics) is None


def test_what_a_critic_explained_in_the_first_third_does_not_count():
    """A tenth of the run is above the limit of the better rows, but none of its last two thirds."""
    early: Metrics = {"explained_variance": from_row(21, 0.0, 0.9), "value_loss": 1.0}
    assert severity(RULE, 60, score=flat(60), **early) == "stop"
