# pyright: basic, reportArgumentType=false
"""What is shown of a trial whose score is measured only in some iterations."""

import math

from synthetic_sweep import end, job_row, result

from tune_jobs.run_log.events import TrialRow
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.trial_outcome import SPREAD


def outcome_of(*scores, **changed):
    rows = [job_row(trials=1), TrialRow(trial="00", config={})]
    spread = {"metrics": {SPREAD: 0.1}}
    rows += [
        result("00", i, score, **(spread if score is not None else {}))
        for i, score in enumerate(scores, 1)
    ]
    return Outcome.from_rows([*rows, end("00", len(scores), "budget")]).trials[0]


def test_the_score_is_the_last_one_measured():
    trial = outcome_of(0.5, 0.4, None, None)
    assert trial.score == trial.finite_score == 0.4 and trial.score_spread == 0.1
    assert trial.last_scored and trial.last_scored.iteration == 2
    assert trial.finite_scores == [0.5, 0.4] and trial.iterations == 4


def test_a_trial_without_any_score_is_undecided():
    trial = outcome_of(None, None)
    assert trial.score is trial.last_scored is trial.score_spread is None


def test_a_diverged_score_is_not_replaced_by_an_earlier_one():
    trial = outcome_of(0.5, math.nan, None)
    assert math.isnan(trial.score) and trial.finite_score is None
