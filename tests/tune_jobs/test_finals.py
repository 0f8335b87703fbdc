# pyright: basic, reportOptionalMemberAccess=false
"""Who wins: not the luckiest score of training, but the best on fresh seeds."""

import math

import pytest
from synthetic_sweep import job_row, result

from tune_jobs.events import FinalRow
from tune_jobs.outcome import Outcome

SCORES = {"00": 0.30, "01": 0.10, "02": 0.20, "03": math.nan}


def rows(mode="min"):
    return [job_row(mode=mode, trials=4), *(result(t, 9, s) for t, s in SCORES.items())]


def final(trial, score, mode="min"):
    about = {"checkpoint": "c", "metric": "excess_risk", "episodes": 8, "seed": 64, "error": 0.0}
    return FinalRow(trial=trial, score=score, mode=mode, **about)


def test_without_finals_the_best_score_of_training_wins():
    assert [trial.id for trial in Outcome.of(rows()).ranked] == ["01", "02", "00"]
    assert Outcome.of(rows()).best.id == "01"
    assert Outcome.of(rows("max")).best.id == "00"


@pytest.mark.parametrize(("mode", "winner"), [("min", "02"), ("max", "01")])
def test_with_finals_the_best_on_fresh_seeds_wins(mode, winner):
    finals = [final("01", 0.4, mode), final("02", 0.3, mode), final("00", math.nan, mode)]
    assert Outcome.of([*rows(), *finals]).best.id == winner


def test_a_later_look_at_a_finalist_replaces_an_earlier_one():
    looks = [final("01", 0.4), final("02", 0.3), final("02", 0.9)]
    assert Outcome.of([*rows(), *looks]).best.id == "01"
