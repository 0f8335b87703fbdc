"""Rules about observations and what is kept of them: each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Case, Metrics, case, cases, flat, from_row, rising
from rule_checks import assert_judges_median, assert_needs_last, assert_skips_nan

NAN = math.nan
BLIND: Metrics = {"encoder_constant_fraction": 1.0, "feature_constant_fraction": 1.0}

CASES = [
    *cases(
        "dead_units",
        {},
        (None, {"dead_unit_fraction": from_row(4, 0.4, 0.1)}),
        (("warn", 4), {"dead_unit_fraction": from_row(4, 0.7, 0.1)}),
        (("stop", 4), {"dead_unit_fraction": from_row(4, 1.0, 0.1)}),
        (None, {"dead_unit_fraction": 0.48}),
        ("warn", {"dead_unit_fraction": 0.52}),
        ("warn", {"dead_unit_fraction": 0.98}),
        ("stop", {"dead_unit_fraction": 0.995}),
    ),
    case("dead_units", None, {"dead_unit_fraction": 0.8}, 60, score=rising),
    case("dead_units", None, {"dead_unit_fraction": 1.0}, 4, 27),
    # Features of which a few change are healthy; without any part the policy is blind.
    *cases(
        "encoder_constant",
        {"encoder_constant_fraction": from_row(4, 1.0, 0.2)},
        (("stop", 4), {"feature_constant_fraction": 1.0}),
        (("warn", 4), {"feature_constant_fraction": 0.99}),
        (("warn", 4), {}),
        (None, {"encoder_constant_fraction": 0.99, "feature_constant_fraction": 0.99}),
        (None, {"encoder_constant_fraction": lambda i: NAN if i > 25 else 1.0}),
    ),
    case("encoder_constant", None, BLIND, 60, score=rising),
    case("encoder_constant", None, BLIND, 8, 27),
    *cases(
        "memory_unused",
        {},
        (("warn", 4), {"memory_effect_fraction": from_row(4, 0.004, 0.4)}),
        (None, {"memory_effect_fraction": from_row(4, 0.006, 0.4)}),
        (None, {"memory_effect_fraction": lambda i: NAN if i > 25 else 0.0}),
    ),
    case("memory_unused", ("note", 1), {"memory_effect_fraction": 0.0}, 60, score=rising),
    case("memory_unused", None, {"memory_effect_fraction": 0.0}, 8, 27),
    # Nothing is said before the score can be judged.
    case("memory_unused", None, {"memory_effect_fraction": 0.0}, score=[*flat(7), *[NAN] * 20]),
    # Constant numbers among others are healthy; a whole observation has a rule of its own.
    *cases(
        "normaliser_without_spread",
        {"normaliser_constant_fraction": 1.0},
        (("warn", 4), {"normaliser_constant_fraction": from_row(4, 1.0, 0.2)}),
        (None, {"normaliser_constant_fraction": 0.99}),
        (None, {"normaliser_constant_fraction": lambda i: NAN if i > 25 else 1.0}),
        (None, {"observation_constant_fraction": 1.0}),
        (("warn", 1), {"observation_constant_fraction": 0.9}),
    ),
    case("normaliser_without_spread", None, {"normaliser_constant_fraction": 1}, 60, score=rising),
    case("normaliser_without_spread", None, {"normaliser_constant_fraction": 1.0}, 4, 27),
    case("normaliser_without_spread", None, {"normaliser_constant_fraction": 1.0}, 7, 27),
    # A bandit that is learnt is healthy.
    *cases(
        "observation_constant",
        {},
        (("stop", 1), {"observation_constant_fraction": 1.0}),
        (None, {"observation_constant_fraction": 0.9}),
        (None, {"observation_constant_fraction": lambda i: NAN if i > 25 else 1.0}),
    ),
    case("observation_constant", ("note", 1), {"observation_constant_fraction": 1.0}, 3, 81),
    case("observation_constant", None, {"observation_constant_fraction": 1.0}, 2, 81),
    case("observation_constant", None, {"observation_constant_fraction": 1.0}, 60, score=rising),
    # Dead units turn a note into a warning.
    *cases(
        "observation_scale",
        {},
        (("note", 3), {"observation_abs_max": from_row(3, 1e6, 1.0)}),
        (("warn", 3), {"observation_abs_max": from_row(3, 1e6, 1.0), "dead_unit_fraction": 0.8}),
        ("note", {"observation_abs_max": 105}),
        (None, {"observation_abs_max": 95}),
        (None, {"observation_abs_max": 40}),
        ("warn", {"observation_abs_max": 1e6, "dead_unit_fraction": 0.52}),
        ("note", {"observation_abs_max": 1e6, "dead_unit_fraction": 0.48}),
    ),
    case("observation_scale", None, {"observation_abs_max": 1e6}, 60, score=rising),
    case("observation_scale", None, {"observation_abs_max": 1e6}, 4, 27),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


def test_the_median_of_the_last_rows_is_judged():
    assert_judges_median("dead_units", 5, "dead_unit_fraction", 1.0, 0.0, 0.45)
    assert_judges_median("observation_scale", 5, "observation_abs_max", 150, 1, 90)


def test_all_of_the_last_rows_must_be_sick():
    needs = assert_needs_last
    needs("encoder_constant", 9, "encoder_constant_fraction", 1.0, 0.9, **BLIND)
    needs("memory_unused", 9, "memory_effect_fraction", 0.0, 0.1)
    needs("normaliser_without_spread", 5, "normaliser_constant_fraction", 1.0, 0.9)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan("dead_units", "dead_unit_fraction", 1.0)
    assert_skips_nan("observation_scale", "observation_abs_max", 1e6)
