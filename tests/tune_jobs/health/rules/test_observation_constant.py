"""Rule ``observation_constant``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

from health_runs import Metrics, flat, rising, seen, severity

from tune_jobs.health.rules.thresholds_of_rollouts import ObservationConstant

RULE = ObservationConstant()


def test_it_notes_early_and_stops_without_learning():
    constant: Metrics = {"observation_constant_fraction": 1.0}
    assert seen(RULE, 3, 81, score=flat(3), **constant) == ("note", 1)
    assert seen(RULE, 27, score=flat(27), **constant) == ("stop", 1)


def test_constant_entries_among_others_are_healthy():
    assert seen(RULE, 27, score=flat(27), observation_constant_fraction=0.9) is None


def test_a_bandit_that_is_learnt_is_healthy():
    assert seen(RULE, 60, score=rising(60), observation_constant_fraction=1.0) is None


def test_two_rows_say_nothing():
    assert seen(RULE, 2, 81, score=flat(2), observation_constant_fraction=1.0) is None


def test_rows_without_the_metric_are_left_out():
    metrics: Metrics = {"observation_constant_fraction": lambda i: math.nan if i > 25 else 1.0}
    assert severity(RULE, 27, score=flat(27), **metrics) is None
