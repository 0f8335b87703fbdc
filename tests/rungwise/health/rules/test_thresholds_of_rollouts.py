"""Limits of what rollouts show: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
import rule_checks
from health_runs import Case, case, cases, from_row, rising

NAN = math.nan

CASES = [
    # Values that nearly always lie outside; bang-bang control that was learnt is healthy.
    *cases(
        "action_clipping",
        {},
        (("warn", 8), {"action_clip_fraction": from_row(8, 0.97, 0.3)}),
        ("warn", {"action_clip_fraction": 0.91}),
        (None, {"action_clip_fraction": 0.89}),
        (None, {"action_clip_fraction": 0.33}),
    ),
    case("action_clipping", None, {"action_clip_fraction": 1.0}, 60, score=rising),
    case("action_clipping", None, {"action_clip_fraction": 1.0}, 4, 27),
    # Half of the run may explore.
    *cases(
        "exploration_never_decays",
        {},
        (("warn", 1), {"exploration_rate": 1.0}),
        (None, {"exploration_rate": lambda i: max(0.05, 1 - 0.05 * i)}),
        ("warn", {"exploration_rate": 0.91}),
        (None, {"exploration_rate": 0.89}),
        n=40,
        score=None,
    ),
    case("exploration_never_decays", None, {"exploration_rate": 1.0}, 20, 40, score=None),
    case(
        "no_progress_in_episode",
        ("note", 6),
        {"episode_improvement": from_row(6, -0.1, 0.1)},
        39,
        100,
    ),
    case(
        "no_progress_in_episode",
        ("warn", 6),
        {"episode_improvement": from_row(6, -0.1, 0.1)},
        40,
        100,
    ),
    case("no_progress_in_episode", None, {"episode_improvement": -0.1}, 60, score=rising),
    case("no_progress_in_episode", "warn", {"episode_improvement": 0.0}, 60),
    case("no_progress_in_episode", None, {"episode_improvement": 0.01}, 60),
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
    case("range_unused", ("note", 6), {"range_utilisation": from_row(6, 0.1, 0.5)}, 39, 100),
    case("range_unused", ("warn", 6), {"range_utilisation": from_row(6, 0.1, 0.5)}, 40, 100),
    case("range_unused", None, {"range_utilisation": 0.1}, 60, score=rising),
    case("range_unused", "warn", {"range_utilisation": 0.29}, 60),
    case("range_unused", None, {"range_utilisation": 0.31}, 60),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


def test_the_median_of_the_last_rows_is_judged():
    rule_checks.assert_judges_median("action_clipping", 5, "action_clip_fraction", 1.0, 0.3, 0.85)
    rule_checks.assert_judges_median(
        "no_progress_in_episode", 10, "episode_improvement", -0.1, 2.0, 2.0
    )
    rule_checks.assert_judges_median("observation_scale", 5, "observation_abs_max", 150, 1, 90)
    rule_checks.assert_judges_median("range_unused", 10, "range_utilisation", 0.1, 1.0, 1.0)


def test_all_of_the_last_rows_must_be_sick():
    rule_checks.assert_needs_last("exploration_never_decays", 5, "exploration_rate", 1.0, 0.5)
    rule_checks.assert_needs_last(
        "normaliser_without_spread", 5, "normaliser_constant_fraction", 1.0, 0.9
    )


def test_a_rule_waits_for_rows_and_budget():
    rule_checks.assert_starts_at("exploration_never_decays", 60, 100, exploration_rate=1.0)
    rule_checks.assert_starts_at("no_progress_in_episode", 20, 100, episode_improvement=-0.1)
    rule_checks.assert_starts_at("range_unused", 20, 100, range_utilisation=0.1)


def test_rows_without_the_metric_are_left_out():
    rule_checks.assert_skips_nan("action_clipping", "action_clip_fraction", 1.0)
    rule_checks.assert_skips_nan("exploration_never_decays", "exploration_rate", 1.0)
    rule_checks.assert_skips_nan("no_progress_in_episode", "episode_improvement", -0.1)
    rule_checks.assert_skips_nan("observation_scale", "observation_abs_max", 1e6)
    rule_checks.assert_skips_nan("range_unused", "range_utilisation", 0.1)
