"""Rule ``performance_collapse``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import flat, history, rising, seen, severity

from tune_jobs.health import History
from tune_jobs.health.rules.scores import PerformanceCollapse

RULE = PerformanceCollapse()


def test_a_score_far_below_its_start_is_warned_about_early():
    fallen = [20.0, 19.5, 16.0, 13.0, *flat(40, 9.0, 0.2)]
    assert seen(RULE, 9, 60, score=fallen) is None
    assert seen(RULE, 10, 60, score=fallen) == ("warn", 5)


def test_a_gain_that_is_lost_is_warned_about_with_both_scores():
    score = [*rising(30, 20, 200, 3), *flat(30, 25.0, 3.0)]
    finding = RULE(history(40, 60, score=score))
    assert finding
    assert (finding.severity, finding.since) == ("warn", 31)
    assert finding.evidence.startswith("score went from 201")
    assert finding.evidence.endswith("at its best to 24.7 and has stayed there since iteration 31")


def test_a_cost_that_falls_is_a_gain():
    cost = [-s for s in rising(60, -50, -10)]
    rows = [{"score": c} for c in cost]
    assert RULE(History(rows, 60, mode="min")) is None
    rows = [{"score": c} for c in reversed(cost)]
    finding = RULE(History(rows, 60, mode="min"))
    assert finding
    assert "went from 10" in finding.evidence
    assert "at its start to 4" in finding.evidence


def test_a_dip_of_most_of_the_gain_that_recovers_is_healthy():
    dip = [*rising(30, 60, 230, 3), *flat(5, 70.0, 3.0), *flat(25, 208.0, 3.0)]
    for n in range(1, 61):
        assert seen(RULE, n, score=dip[:n], budget=60) is None


def test_half_of_the_gain_and_noise_are_healthy():
    half = [*rising(30, 20, 200, 3), *flat(30, 110.0, 10.0)]
    assert seen(RULE, 60, score=half) is None
    for seed in range(20):
        score = flat(60, 20.0, 6.0, seed)
        for n in range(1, 61):
            assert seen(RULE, n, 60, score=score) is None


def test_few_rows_and_no_scores_say_nothing():
    assert seen(RULE, 5, 60, score=[20.0, 20.0, 1.0, 1.0, 1.0]) is None
    assert seen(RULE, 30, score=math.nan) is None


def fallen(before: float, after: float, rows: int = 60, late: int = 30, noise: float = 0.0):
    """One level, then another, with a noise that alternates."""
    levels = [before] * (rows - late) + [after] * late
    return [level + noise * (-1) ** i for i, level in enumerate(levels)]


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (fallen(20, 20 - 9.3, noise=1), "warn"),  # four standard deviations are 8.4
        (fallen(20, 20 - 8.8, noise=1), None),
        (fallen(20, 13.9), "warn"),
        (fallen(20, 14.1), None),
        ([20.0] * 10 + [100.0] * 20 + [35.0] * 30, "warn"),
        ([20.0] * 10 + [100.0] * 20 + [37.0] * 30, None),
        (fallen(20, 9, late=6), "warn"),
        (fallen(20, 9, late=5), None),
        (fallen(20, 9, rows=10, late=3), "warn"),
        (fallen(20, 9, rows=10, late=2), None),
    ],
)
def test_severity_at_each_threshold(score: list[float], expected: str | None):
    assert severity(RULE, len(score), score=score) == expected


def test_it_judges_from_its_first_rows_and_its_patience_on():
    """Of a budget of 60 the patience is six rows, and three define the start."""
    fallen = [20.0, 20.1, 19.9, *([2.0] * 6)]
    assert seen(RULE, 9, 60, score=fallen) == ("warn", 4)
    assert seen(RULE, 8, 60, score=fallen[:8]) is None
