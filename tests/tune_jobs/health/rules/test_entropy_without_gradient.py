"""Rule ``entropy_without_gradient``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, flat, rising, seen, severity

from tune_jobs.health.rules.thresholds_of_updates import EntropyWithoutGradient

RULE = EntropyWithoutGradient()


DEAD: Metrics = {"grad_norm_entropy": 0.0, "entropy_coef": 0.01, "entropy": 1.2}


def test_a_gradient_of_exactly_zero_is_found_early():
    assert seen(RULE, 5, 81, score=flat(5), **DEAD) == ("warn", 1)


def test_a_run_that_learns_all_the_same_is_noted():
    assert seen(RULE, 60, score=rising(60), **DEAD) == ("note", 1)


@pytest.mark.parametrize("change", [{"grad_norm_entropy": 1e-9}, {"entropy_coef": 0.0}])
def test_a_small_gradient_or_no_coefficient_is_healthy(change: Metrics):
    assert seen(RULE, 30, score=flat(30), **{**DEAD, **change}) is None


@pytest.mark.parametrize("normalised", [0.0, 1.0])
def test_a_deterministic_or_uniform_policy_is_healthy(normalised: float):
    metrics: Metrics = {**DEAD, "entropy_normalised": normalised}
    assert seen(RULE, 30, score=flat(30), **metrics) is None
    metrics = {**DEAD, "entropy": 0.0}
    assert seen(RULE, 30, score=flat(30), **metrics) is None


def test_few_rows_and_rows_without_a_number_say_nothing():
    assert seen(RULE, 4, 27, score=flat(4), **DEAD) is None
    metrics: Metrics = {**DEAD, "grad_norm_entropy": math.nan}
    assert seen(RULE, 30, score=flat(30), **metrics) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"entropy_normalised": 0.011}, "warn"),
        ({"entropy_normalised": 0.009}, None),
        ({"entropy_normalised": 0.9985}, "warn"),
        ({"entropy_normalised": 0.9995}, None),
        ({"entropy_normalised": RULE.low}, "warn"),
        ({"entropy": RULE.low}, "warn"),
        ({"entropy_normalised": RULE.high}, "warn"),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(30), **DEAD, **change}
    assert severity(RULE, 30, **metrics) == expected
