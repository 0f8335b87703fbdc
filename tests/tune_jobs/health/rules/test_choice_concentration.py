"""Rule ``choice_concentration``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import numpy as np
import pytest
from health_runs import (
    Metrics,
    assert_judges_median,
    flat,
    from_row,
    history,
    rising,
    scores_with_tau,
    seen,
    severity,
)

from tune_jobs.health import diagnose
from tune_jobs.health.rules.choices import ChoiceConcentration

RULE = ChoiceConcentration()


def test_a_solved_run_that_takes_one_choice_for_a_while_is_not_ended():
    solved = [*np.linspace(0.05, 0.92, 12), *flat(48, 0.957, 0.003)]
    sick: Metrics = one_takes(0.99)
    fallen = history(80, 97, score=[*solved, *flat(20, 0.0, 0.003)], **sick)
    diagnosis = diagnose(fallen)
    assert diagnosis.stop is None
    assert ("choice_concentration", "warn") in {(f.symptom, f.severity) for f in diagnosis.findings}
    stopped = diagnose(history(80, 97, score=flat(80, 0.0, 0.003), **sick)).stop
    assert stopped and stopped.symptom == "choice_concentration"


def one_takes(share: float, choices: int = 5) -> Metrics:
    rest = (1 - share) / (choices - 1)
    return {
        "choice_fractions": lambda i: [share, *([rest] * (choices - 1))],
        "choice_fraction_max": share,
        "env_steps": lambda i: 2048.0 * i,
    }


@pytest.mark.parametrize(
    ("share", "severity"), [(0.45, None), (0.6, "note"), (0.75, "warn"), (0.98, "stop")]
)
def test_severity_follows_the_share(share: float, severity: str | None):
    found = seen(RULE, 27, score=flat(27), **one_takes(share))
    assert found == (severity and (severity, 1))


def test_three_quarters_for_one_of_two_is_no_more_than_a_note():
    assert seen(RULE, 27, score=flat(27), **one_takes(0.75, 2)) == ("note", 1)


def test_its_beginning_and_the_choice_are_named():
    metrics: Metrics = {**one_takes(0.98), "choice_fraction_max": from_row(9, 0.98, 0.3)}
    finding = RULE(history(27, score=flat(27), **metrics))
    assert finding
    assert finding.since == 9
    assert "one choice (number 0) takes 98%" in finding.evidence


def test_a_greedy_optimum_is_healthy():
    assert seen(RULE, 27, score=rising(27), **one_takes(1.0)) is None


def test_few_steps_are_too_early():
    metrics: Metrics = {**one_takes(1.0), "env_steps": lambda i: 10.0 * i}
    assert seen(RULE, 27, score=flat(27), **metrics) is None


def test_a_single_choice_is_no_choice():
    metrics: Metrics = {"choice_fractions": lambda i: [1.0], "choice_fraction_max": 1.0}
    assert seen(RULE, 27, score=flat(27), **metrics) is None


def test_rows_without_the_share_are_left_out():
    metrics: Metrics = {
        "score": flat(27),
        "choice_fraction_max": lambda i: math.nan if i % 2 else 0.99,
    }
    assert seen(RULE, 27, **metrics) == ("stop", 24)


@pytest.mark.parametrize(
    ("excess", "expected"),
    [
        (0.39, None),
        (0.41, "note"),
        (0.59, "note"),
        (0.61, "warn"),
        (0.94, "warn"),
        (0.96, "stop"),
    ],
)
def test_severity_follows_the_excess_over_an_even_split(excess: float, expected: str | None):
    assert severity(RULE, 27, score=flat(27), **one_takes(0.2 + 0.8 * excess)) == expected


@pytest.mark.parametrize(("tau", "expected"), [(0.19, "stop"), (0.21, "note")])
def test_a_score_that_tends_upwards_gives_a_note(tau: float, expected: str):
    assert severity(RULE, 60, score=scores_with_tau(60, tau), **one_takes(0.98)) == expected


@pytest.mark.parametrize(("level", "expected"), [(1.045, "stop"), (1.055, "note")])
def test_scores_all_above_the_first_give_a_note(level: float, expected: str):
    assert severity(RULE, 27, score=[1.0] + [level] * 26, **one_takes(0.98)) == expected


@pytest.mark.parametrize(("steps", "expected"), [(490, None), (510, "stop")])
def test_it_waits_for_500_steps(steps: int, expected: str | None):
    metrics: Metrics = {**one_takes(0.98), "env_steps": steps}
    assert severity(RULE, 27, score=flat(27), **metrics) == expected


def test_the_median_of_five_rows_is_judged():
    metrics: Metrics = {**one_takes(0.98), "score": flat(27)}
    assert_judges_median(RULE, 5, "choice_fraction_max", 1.0, 0.0, 0.5, **metrics)


def test_a_few_scores_above_the_first_give_a_note():
    score = [3.26, 4.15, 4.36, 4.34, 3.68, 4.07, 3.8, 3.85]
    assert seen(RULE, 8, 40, score=score, **one_takes(0.87)) == ("note", 1)
    stuck = [3.8, 4.15, 4.36, 4.34, 3.68, 4.07, 3.8, 3.85]
    assert seen(RULE, 8, 40, score=stuck, **one_takes(0.87)) == ("warn", 1)
