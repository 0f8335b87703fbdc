"""Rule ``std_blowup``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, assert_starts_at, flat, rising, scores_with_tau, seen, severity

from tune_jobs.health.rules.entropy import StdBlowup

RULE = StdBlowup()


def grown(rise: float) -> list[float]:
    """An entropy that rises by this many nats, and ends level."""
    return [1 + rise * k / 37 for k in range(37)] + [1 + rise] * 3


def test_a_standard_deviation_that_grows_fourfold_is_found():
    grows: Metrics = {"entropy": lambda i: 1.4 + 0.06 * i}
    assert seen(RULE, 40, score=flat(40), **grows) == ("stop", 25)
    assert seen(RULE, 40, score=rising(40), **grows) is None


def test_an_entropy_that_no_longer_rises_is_healthy():
    assert seen(RULE, 40, score=flat(40), entropy=lambda i: min(3.0, 1.4 + 0.8 * i)) is None


@pytest.mark.parametrize(("rise", "expected"), [(1.42, "stop"), (1.36, None)])
def test_a_rise_of_ln_4_is_needed(rise: float, expected: str | None):
    assert severity(RULE, 40, score=flat(40), entropy=grown(rise)) == expected


@pytest.mark.parametrize(("tau", "expected"), [(0.55, "stop"), (0.45, None)])
def test_the_entropy_must_still_rise(tau: float, expected: str | None):
    # The middle is shuffled; the first value is the lowest and the last three are the highest.
    middle = [2.0 + 1e4 * (s - 1) / 36 for s in scores_with_tau(36, (tau * 780 - 144) / 630)]
    entropy = [1.0, *middle, 13.0, 13.0, 13.0]
    assert severity(RULE, 40, score=flat(40), entropy=entropy) == expected


def test_it_waits_for_ten_rows():
    assert_starts_at(RULE, 10, 30, score=flat(30), entropy=lambda i: 0.5 * i)


def test_rows_without_the_entropy_are_left_out():
    entropy: Metrics = {"entropy": lambda i: math.nan if i % 2 else 0.06 * i}
    assert severity(RULE, 40, score=flat(40), **entropy) == "stop"
    assert severity(RULE, 40, score=flat(40), entropy=math.nan) is None


@pytest.mark.parametrize(("known", "expected"), [(4, None), (5, "stop")])
def test_five_values_of_the_entropy_are_enough(known: int, expected: str | None):
    entropy: Metrics = {"entropy": lambda i: 0.6 * i if i > 30 - known else math.nan}
    assert severity(RULE, 30, score=flat(30), **entropy) == expected
