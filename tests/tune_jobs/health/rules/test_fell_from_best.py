"""Rule ``fell_from_best``: falls, noise, thresholds, warm-up and NaN."""

import numpy as np
import pytest
from health_runs import flat, history, rising, seen

from tune_jobs.health import History
from tune_jobs.health.rules.scores import FellFromBest

RULE = FellFromBest()
RISE = [*np.linspace(20.0, 500.0, 44), *[500.0] * 6]


def test_a_fall_at_the_end_is_a_finding_with_both_scores():
    finding = RULE(history(60, score=[*RISE, *np.linspace(485.0, 348.0, 10)]))
    assert finding
    assert (finding.severity, finding.since) == ("note", 46)
    assert finding.evidence == (
        "score ended at 363.2, worse than its best, 500 at iteration 46 (means of 3 scores)"
    )


@pytest.mark.parametrize(
    ("last", "is_fall"), [(300.0, True), (450.0, True), (455.0, False), (500.0, False)]
)
def test_a_tenth_of_the_gain_must_be_lost(last: float, is_fall: bool):
    """The gain is 480 less the mean of the first three scores."""
    assert (seen(RULE, 53, score=[*RISE, last, last, last]) is not None) == is_fall


def test_a_fall_that_no_digit_shows_is_none():
    scores = [1000 + 1e-3 * value for value in [*RISE, *[300.0] * 3]]
    assert seen(RULE, 53, score=scores) is None


def test_before_the_end_a_fall_may_still_recover():
    assert seen(RULE, 60, 61, score=[*RISE, *[300.0] * 10]) is None


def test_noise_is_no_fall():
    for seed in range(100):
        score = [*rising(20, 20, 480, 3), *flat(60, 480.0, 40.0, seed)]
        assert seen(RULE, 80, score=score) is None


def test_the_scatter_of_few_episodes_is_no_fall():
    score = [*RISE, *[400.0] * 3]
    for std, is_fall in ((200.0, False), (20.0, True)):
        rows = [{"episodes": 4, "return_std": std, "return_mean": value} for value in score]
        assert (RULE(History(rows, 53, "return_mean")) is not None) == is_fall


def test_a_cost_that_rises_at_the_end_is_a_fall():
    rows = [{"score": -value} for value in [*RISE, *[300.0] * 3]]
    found = RULE(History(rows, 53, mode="min"))
    assert found and found.severity == "note"
    assert RULE(History([{"score": value} for value in reversed(RISE)], 50, mode="min")) is None


def test_a_lasting_collapse_is_reported_by_another_rule():
    assert seen(RULE, 60, score=[*RISE, *[21.0] * 10]) is None


def test_a_run_that_gained_nothing_has_nothing_to_lose():
    assert seen(RULE, 60, score=[*flat(30, 20.0, 1.0), *flat(30, 18.0, 1.0)]) is None


def test_few_scores_say_nothing():
    assert seen(RULE, 5, score=[1.0, 9.0, 9.0, 9.0, 1.0]) is None
    assert seen(RULE, 10, score=float("nan")) is None
