"""Rule ``policy_without_gradient``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

from health_runs import Metrics, flat, from_row, rising, seen, severity

from tune_jobs.health.rules.thresholds_of_updates import PolicyWithoutGradient

RULE = PolicyWithoutGradient()


DEAD: Metrics = {"grad_norm_policy": 0.0, "advantage_std": 1.0}


def test_it_warns_early_and_stops_without_learning():
    unjudged: Metrics = {"score": lambda i: 1.0 if i > 3 else None}
    assert seen(RULE, 9, 81, **unjudged, **DEAD) == ("warn", 1)
    assert seen(RULE, 30, score=flat(30), **DEAD) == ("stop", 1)


def test_a_certain_policy_that_has_learnt_is_healthy():
    metrics: Metrics = {**DEAD, "grad_norm_policy": from_row(30, 0.0, 0.2)}
    assert seen(RULE, 60, score=rising(60), **metrics) is None


def test_without_differing_advantages_there_is_nothing_to_learn():
    assert seen(RULE, 30, score=flat(30), **{**DEAD, "advantage_std": 0.0}) is None


def test_a_single_measurement_is_too_early():
    assert seen(RULE, 8, 27, score=flat(8), **DEAD) is None
    metrics: Metrics = {**DEAD, "grad_norm_policy": lambda i: 0.1 if i == 26 else 0.0}
    assert seen(RULE, 30, score=flat(30), **metrics) is None


def test_rows_without_the_norm_are_left_out():
    metrics: Metrics = {**DEAD, "grad_norm_policy": lambda i: math.nan if i % 2 else 0.0}
    assert severity(RULE, 30, score=flat(30), **metrics) is None
