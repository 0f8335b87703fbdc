"""Rules about choices: sick and healthy runs, each threshold, warm-up and NaN."""

import dataclasses
import math

import numpy as np
import pytest
from health_runs import Case, Metrics, case, cases, flat, from_row, history, rising, scores_with_tau
from rule_checks import assert_judges_median, assert_skips_nan, assert_starts_at

from rungwise.health import RULES, diagnose

LOW: Metrics = {"gamma": 0.0, "episode_length": 20}
THOUGHTS: Metrics = {
    **{"log_p_with": -0.05, "log_p_without": -1.6, "log_p_shuffled": -4.0, "log_p_random": -3.3}
}


def one_takes(share: float, choices: int = 5) -> Metrics:
    rest = (1 - share) / (choices - 1)
    return {
        "choice_fractions": lambda i: [share, *([rest] * (choices - 1))],
        "choice_fraction_max": share,
        "env_steps": lambda i: 2048.0 * i,
    }


SLIGHTLY_UP = [3.26, 4.15, 4.36, 4.34, 3.68, 4.07, 3.8, 3.85]

CASES = [
    *cases(
        "gamma_too_low",
        LOW,
        (("warn", 1), {}),
        ("warn", {"gamma": 0.48}),
        (None, {"gamma": 0.52}),
        ("warn", {"episode_length": 10}),
        (None, {"episode_length": 9.5}),
        n=40,
        score=flat(45)[:40],
    ),
    case("gamma_too_low", None, LOW, 40, score=rising),
    # Thoughts that bring the answer are healthy; an answer known without one is not judged.
    *cases(
        "theatre",
        THOUGHTS,
        (None, {}),
        (("stop", 1), {"log_p_with": -1.6}),
        (("stop", 1), {"log_p_with": -1.55, "log_p_random": -1.6}),
        (("stop", 1), {"log_p_shuffled": -0.5}),
        (("stop", 1), {"log_p_random": -1.4}),
        (("stop", 40), {"log_p_with": lambda i: -0.05 if i < 40 else -1.6}),
        (None, {"log_p_with": -0.01, "log_p_without": -0.02}),
        (None, {"log_p_with": -1.6 + 0.105}),
        ("stop", {"log_p_with": -1.6 + 0.095}),
        ("stop", {"log_p_with": -0.1, "log_p_without": -0.105}),
        (None, {"log_p_with": -0.09, "log_p_without": -0.095}),
        (None, {"log_p_shuffled": -0.05 - 0.8}),
        ("stop", {"log_p_shuffled": -0.05 - 0.75}),
        (None, {"log_p_random": -1.6 + 0.15}),
        ("stop", {"log_p_random": -1.6 + 0.16}),
        ("stop", {"log_p_with": [s - 2.6 for s in scores_with_tau(60, 0.19)]}),
        (None, {"log_p_with": [s - 2.6 for s in scores_with_tau(60, 0.21)]}),
        n=60,
    ),
    *cases(
        "theatre",
        THOUGHTS,
        ("warn", {"log_p_with": -1.6}),
        ("warn", {"log_p_with": -1.55, "log_p_random": -1.6}),
        ("warn", {"log_p_shuffled": -0.5}),
        ("warn", {"log_p_random": -1.4}),
        n=60,
        score=rising,
    ),
    case("theatre", None, THOUGHTS | {"log_p_with": lambda i: -1.65 + 0.002 * i}, 30, 60, rising),
    case("theatre", "warn", THOUGHTS | {"log_p_with": -1.6}, 30, 60),
    case("theatre", "warn", THOUGHTS | {"log_p_with": -1.6}, 59, 100),
    case("theatre", "stop", THOUGHTS | {"log_p_with": -1.6}, 60, 100),
    case("theatre", None, THOUGHTS | {"log_p_with": -1.6}, 10, 60),
    *cases(
        "choice_concentration",
        {},
        (None, one_takes(0.45)),
        (("note", 1), one_takes(0.6)),
        (("warn", 1), one_takes(0.75)),
        (("stop", 1), one_takes(0.98)),
        # Of two choices three quarters are little: the excess over an even split counts.
        (("note", 1), one_takes(0.75, 2)),
        *(
            (expected, one_takes(0.2 + 0.8 * excess))
            for excess, expected in (
                *((0.39, None), (0.41, "note"), (0.59, "note")),
                *((0.61, "warn"), (0.94, "warn"), (0.96, "stop")),
            )
        ),
        # It waits for 500 steps; a single choice is no choice.
        (None, {**one_takes(1.0), "env_steps": lambda i: 10.0 * i}),
        (None, {**one_takes(0.98), "env_steps": 490}),
        ("stop", {**one_takes(0.98), "env_steps": 510}),
        (None, {"choice_fractions": lambda i: [1.0], "choice_fraction_max": 1.0}),
        (("stop", 24), {"choice_fraction_max": lambda i: math.nan if i % 2 else 0.99}),
    ),
    # A greedy optimum is healthy; a score that tends upwards, or lies above the first, is noted.
    case("choice_concentration", None, one_takes(1.0), score=rising),
    case("choice_concentration", "stop", one_takes(0.98), 60, score=scores_with_tau(60, 0.19)),
    case("choice_concentration", "note", one_takes(0.98), 60, score=scores_with_tau(60, 0.21)),
    case("choice_concentration", "stop", one_takes(0.98), score=[1.0, *flat(26, 1.04, 0.01)]),
    case("choice_concentration", "note", one_takes(0.98), score=[1.0, *flat(26, 1.06, 0.01)]),
    case("choice_concentration", ("note", 1), one_takes(0.87), 8, 40, SLIGHTLY_UP),
    case("choice_concentration", ("warn", 1), one_takes(0.87), 8, 40, [3.8, *SLIGHTLY_UP[1:]]),
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
    assert_judges_median("theatre", 10, "log_p_with", -1.6, -0.05, -0.05, **THOUGHTS)
    assert_judges_median(
        "choice_concentration", 5, "choice_fraction_max", 1.0, 0.0, 0.5, **one_takes(0.98)
    )
    assert_judges_median("action_clipping", 5, "action_clip_fraction", 1.0, 0.3, 0.85)
    assert_judges_median("range_unused", 10, "range_utilisation", 0.1, 1.0, 1.0)


def test_a_rule_waits_for_rows_and_budget():
    assert_starts_at("gamma_too_low", 15, 45, **LOW)
    assert_starts_at("theatre", 30, 100, **THOUGHTS | {"log_p_with": -1.6})
    assert_starts_at("range_unused", 20, 100, range_utilisation=0.1)


@pytest.mark.parametrize(("rows", "named"), [(8, 8), (30, 10)])
@pytest.mark.parametrize(
    ("symptom", "sick"),
    [
        ("theatre", THOUGHTS | {"log_p_with": -1.6}),
        ("gradients_always_clipped", {"grad_clip_fraction": 1.0}),
        ("choice_concentration", one_takes(1.0)),
    ],
)
def test_the_evidence_names_the_iterations_that_there_were(rows, named, symptom, sick):
    rule = dataclasses.replace(RULES[symptom], rows=10)
    finding = rule(history(rows, 16, score=flat(rows), **sick))
    assert finding and f"last {named} iterations" in finding.evidence


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan("theatre", "log_p_with", -1.6, **THOUGHTS)
    assert_skips_nan("gamma_too_low", "episode_length", 20.0, **LOW)
    assert_skips_nan("action_clipping", "action_clip_fraction", 1.0)
    assert_skips_nan("range_unused", "range_utilisation", 0.1)


def test_a_solved_run_that_takes_one_choice_for_a_while_is_not_ended():
    solved = [*np.linspace(0.05, 0.92, 12), *flat(48, 0.957, 0.003)]
    sick: Metrics = one_takes(0.99)
    fallen = history(80, 97, score=[*solved, *flat(20, 0.0, 0.003)], **sick)
    diagnosis = diagnose(fallen)
    assert diagnosis.stop is None
    assert ("choice_concentration", "warn") in {(f.symptom, f.severity) for f in diagnosis.findings}
    stopped = diagnose(history(80, 97, score=flat(80, 0.0, 0.003), **sick)).stop
    assert stopped and stopped.symptom == "choice_concentration"


def test_its_beginning_and_the_choice_are_named():
    metrics: Metrics = {**one_takes(0.98), "choice_fraction_max": from_row(9, 0.98, 0.3)}
    finding = RULES["choice_concentration"](history(27, score=flat(27), **metrics))
    assert finding
    assert finding.since == 9
    assert "one choice (number 0) takes 98%" in finding.evidence


@pytest.mark.parametrize(("gamma", "found"), [(0.45, True), (0.55, False)])
def test_a_setting_counts_where_no_metric_is_logged(gamma: float, found: bool):
    run = history(30, score=flat(30), episode_length=100)
    diagnosis = diagnose(dataclasses.replace(run, settings={"gamma": gamma}))
    assert ("gamma_too_low" in {f.symptom for f in diagnosis.findings}) is found
    assert "gamma_too_low" in diagnosis.judged
