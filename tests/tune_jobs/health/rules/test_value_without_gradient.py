"""Rule ``value_without_gradient``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

from health_runs import Metrics, flat, rising, seen, severity

from tune_jobs.health.rules.thresholds_of_updates import ValueWithoutGradient

RULE = ValueWithoutGradient()


DEAD: Metrics = {"grad_norm_value": 0.0, "value_loss": 2.0}


def test_an_error_without_a_gradient_is_found_early():
    assert seen(RULE, 5, 81, score=flat(5), **DEAD) == ("warn", 1)
    assert seen(RULE, 60, score=rising(60), **DEAD) == ("note", 1)


def test_without_an_error_there_is_nothing_to_learn():
    assert seen(RULE, 30, score=flat(30), **{**DEAD, "value_loss": 0.0}) is None


def test_a_small_gradient_is_healthy_and_few_rows_are_too_early():
    assert seen(RULE, 30, score=flat(30), **{**DEAD, "grad_norm_value": 1e-9}) is None
    assert seen(RULE, 4, 27, score=flat(4), **DEAD) is None


def test_rows_without_the_norm_are_left_out():
    metrics: Metrics = {**DEAD, "grad_norm_value": lambda i: math.nan if i % 2 else 0.0}
    assert severity(RULE, 30, score=flat(30), **metrics) is None
