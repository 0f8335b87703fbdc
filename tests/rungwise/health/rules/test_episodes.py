"""Rules for how episodes end and how a group's differ: each threshold, warm-up and NaN."""

import math
from typing import Any

import numpy as np
import pytest
from health_runs import Case, Metrics, case, cases, flat, from_row, history, rising
from rule_checks import (
    assert_evidence,
    assert_judges_median,
    assert_needs_last,
    assert_skips_nan,
    assert_starts_at,
)

from rungwise.health import RULES
from rungwise.health.diagnosis import diagnose

NAN = math.nan
CUT: Metrics = {"truncated_fraction": 1.0, "episode_length": 200.0}
UNPAID: Metrics = {"truncated_fraction": 0.96, "episode_length": lambda i: 199 + i % 2}
"""Completions of which nearly all are cut off, at lengths that differ a little."""
SELDOM = [0.5] + [0.0] * 39
"""Returns of which 2.5 % are above the lowest."""

CASES = [
    # An end now and then is healthy, and so is a fixed horizon in which something is learnt.
    *cases(
        "always_truncated",
        CUT,
        (("note", 1), {}),
        (None, {"truncated_fraction": 0.98}),
        (None, {"episode_length": lambda i: 150.0 + i}),
        ("note", {"episode_length": lambda i: 200 * (1 + 0.95e-6 * (i % 2))}),
        (None, {"episode_length": lambda i: 200 * (1 + 1.05e-6 * (i % 2))}),
        n=60,
    ),
    case("always_truncated", None, CUT, 60, score=rising),
    case("always_truncated", None, CUT, 15, 100),
    # Nothing is gained in them: a warning, and a stop when a constant return asks for one.
    *cases(
        "always_truncated",
        UNPAID,
        (("warn", 1), {"return_mean": 0.0}),
        (("warn", 1), {"return_mean": -1.0}),
        (("warn", 5), {"return_mean": 0.0, "truncated_fraction": from_row(5, 0.96, 0.5)}),
        (None, {"return_mean": 0.0, "truncated_fraction": 0.94}),
        (None, {"return_mean": lambda i: 0.01 * (i % 2)}),
        (("warn", 1), {"return_mean": [*SELDOM, *[0.0] * 20]}),
        (None, {"return_mean": [*[0.5] * 3, *[0.0] * 57]}),
        (None, {"return_mean": [*SELDOM, *[0.0] * 15, 0.5, *[0.0] * 4]}),
        (None, {"return_mean": 0.0, "zero_reward_fraction": 1.0}),
        n=60,
        budget=80,
        score=[0.0] * 60,
    ),
    case("always_truncated", "warn", {**UNPAID, "return_mean": 0.0}, 71, 80, score=[0.0] * 71),
    case("always_truncated", "stop", {**UNPAID, "return_mean": 0.0}, 72, 80, score=[0.0] * 72),
    # Rows in which no episode ended are left out, and take a stop back.
    case(
        "always_truncated",
        "warn",
        {
            "truncated_fraction": lambda i: NAN if i % 2 else 0.96,
            "episode_length": lambda i: NAN if i % 2 else 199.0 + i % 4,
            "return_mean": lambda i: NAN if i % 2 else 1.0,
        },
        80,
        80,
        score=[1.0] * 80,
    ),
    # 19 returns are too few for a stop.
    case(
        "always_truncated",
        "warn",
        {**UNPAID, "return_mean": lambda i: 0.0 if i < 20 else NAN},
        60,
        score=[0.0] * 60,
    ),
    case("always_truncated", None, {**UNPAID, "return_mean": rising(60)}, 60, score=rising),
    *cases(
        "groups_without_signal",
        {},
        (None, {"group_signal": from_row(9, 0.3, 0.9)}),
        (("note", 9), {"group_signal": from_row(9, 0.2, 0.9)}),
        (("note", 9), {"group_signal": from_row(9, 0.2, 0.25)}),
        (("warn", 9), {"group_signal": from_row(9, 0.05, 0.9)}),
        (("stop", 9), {"group_signal": from_row(9, 0.0, 0.9)}),
        (None, {"group_signal": NAN}),
        (None, {"group_signal": 0.26}),
        ("note", {"group_signal": 0.24}),
        ("note", {"group_signal": 0.11}),
        ("warn", {"group_signal": 0.09}),
        ("warn", {"group_signal": 0.02}),
        ("stop", {"group_signal": 0.005}),
    ),
    # A solved task has no signal and is healthy.
    case("groups_without_signal", None, {"group_signal": from_row(30, 0, 0.8)}, 60, score=rising),
    case("groups_without_signal", None, {"group_signal": 0.0}, 9, 200),
    # A score on its way upwards: its groups are being solved.
    case(
        "groups_without_signal", None, {"group_signal": 0.0}, 15, 60, score=np.linspace(1, 1.04, 15)
    ),
    # Of four groups none has a signal in most of the last rows, by chance.
    case(
        "groups_without_signal", "warn", {"group_signal": lambda i: 0.25 if i in (22, 24) else 0.0}
    ),
    # A goal that is found late looks like this until it is found.
    case("groups_without_signal", "warn", {"group_signal": 0.0, "return_mean": 0.0}, 89, 100),
    case("groups_without_signal", "stop", {"group_signal": 0.0, "return_mean": 0.0}, 90, 100),
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
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


def test_the_last_rows_are_judged():
    assert_judges_median("groups_without_signal", 5, "group_signal", 0.0, 1.0, 0.3)
    assert_needs_last("always_truncated", 10, "truncated_fraction", 1.0, 0.9, **CUT)
    assert_judges_median("no_progress_in_episode", 10, "episode_improvement", -0.1, 2.0, 2.0)


def test_a_rule_waits_for_rows_and_budget():
    assert_starts_at("always_truncated", 20, 100, **CUT)
    assert_starts_at("groups_without_signal", 20, 200, group_signal=0.0)
    assert_starts_at("no_progress_in_episode", 20, 100, episode_improvement=-0.1)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan("always_truncated", "truncated_fraction", 1.0, **CUT)
    assert_skips_nan("no_progress_in_episode", "episode_improvement", -0.1)


def test_the_evidence_says_what_was_gained():
    words: Any = assert_evidence
    words("always_truncated", "all of the episodes were truncated after 200 steps", **CUT)
    dead: Metrics = {**UNPAID, "return_mean": 0.0}
    words("always_truncated", "at least 96% of the episodes", **dead)
    words("always_truncated", "return_mean has been 0 in all 60 iterations", **dead)


def test_forty_percent_of_groups_without_a_signal_are_healthy():
    """Agents of many turns learn with as many."""
    signal = (0.6 + 0.25 * np.random.default_rng(0).integers(-1, 2, 60)).tolist()
    findings = diagnose(history(60, 100, score=flat(60), group_signal=signal)).findings
    assert "groups_without_signal" not in [finding.symptom for finding in findings]


def test_a_run_that_is_never_paid_is_ended_for_what_cuts_it_off():
    run = history(73, 80, **UNPAID, return_mean=0.0, score=[0.0] * 73)
    found = diagnose(run)
    assert found.stop and found.stop.symptom == "always_truncated"
    assert "max_completion_length" in found.stop.remedy
    assert RULES["constant_reward"](run)
