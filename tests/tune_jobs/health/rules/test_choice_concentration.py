"""Rule ``choice_concentration``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import numpy as np
import pytest
from health_runs import (
    Case,
    Metrics,
    assert_judges_median,
    case,
    cases,
    flat,
    from_row,
    history,
    rising,
    scores_with_tau,
)

from tune_jobs.health import RULES, diagnose

RULE = RULES["choice_concentration"]


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
    case("choice_concentration", "stop", one_takes(0.98), score=[1.0] + [1.045] * 26),
    case("choice_concentration", "note", one_takes(0.98), score=[1.0] + [1.055] * 26),
    case("choice_concentration", ("note", 1), one_takes(0.87), 8, 40, SLIGHTLY_UP),
    case("choice_concentration", ("warn", 1), one_takes(0.87), 8, 40, [3.8, *SLIGHTLY_UP[1:]]),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


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
    finding = RULE(history(27, score=flat(27), **metrics))
    assert finding
    assert finding.since == 9
    assert "one choice (number 0) takes 98%" in finding.evidence


def test_the_median_of_five_rows_is_judged():
    metrics: Metrics = {**one_takes(0.98), "score": flat(27)}
    assert_judges_median(RULE, 5, "choice_fraction_max", 1.0, 0.0, 0.5, **metrics)
