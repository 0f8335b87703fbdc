# pyright: basic, reportArgumentType=false
"""The result of one trial."""

import math
import sys

import pytest
from synthetic_sweep import end, finding, job_row, result

from rungwise.run_log.events import TrialRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import SPREAD, average, to_finite_float


def test_a_finding_is_kept_once_and_noticed_in_the_state():
    row = finding("01", "entropy_collapse", iteration=4)
    (trial,) = Outcome.from_rows([job_row(), result("01", 4, 0.3), row, row]).trials
    assert len(trial.findings) == 1
    assert trial.status_text == "running, entropy collapse"


def make_trial(*rows, **job):
    return Outcome.from_rows([job_row(iterations=10, **job), *rows]).trials[0]


def test_saved_compute_is_estimated_at_the_trials_own_pace():
    trial = make_trial(result("00", 4, 0.5, seconds=8.0, env_steps=400), end("00", 4, "asha"))
    assert (trial.iterations_not_run, trial.iterations_saved) == (6, 6)
    assert (trial.seconds_saved, trial.env_steps_saved) == (12.0, 600.0)


@pytest.mark.parametrize("reason", ["interrupted", "error"])
def test_a_trial_that_a_resume_continues_has_saved_nothing(reason):
    trial = make_trial(result("00", 4, 0.5), end("00", 4, reason))
    assert (trial.iterations_not_run, trial.iterations_saved, trial.seconds_saved) == (6, 0, 0.0)


def test_a_trial_that_never_ran_has_saved_an_unknown_time():
    assert make_trial(end("00", 0, "health", "doomed")).seconds_saved is None


def test_a_settled_score_is_the_mean_of_the_later_half():
    scores = (9.0, 9.0, math.nan, 2.0, None, 4.0)
    assert make_trial(*(result("00", i, s) for i, s in enumerate(scores, 1))).settled_score == 3.0
    assert make_trial(result("00", 1, 1.0), result("00", 2, math.nan)).settled_score is None
    assert make_trial(result("00", 1, 5.0)).settled_score == 5.0


@pytest.mark.parametrize(("iteration", "since"), [(4, 5), (4, 10**18), (0, 0), (-3, 0)])
def test_a_damaged_iteration_leaves_the_last_score(iteration, since):
    trial = make_trial(result("00", iteration, 5.0, stage_since=since))
    assert trial.settled_score == trial.summarise().score == 5.0


def test_a_whole_number_above_all_floats_is_not_finite():
    assert to_finite_float(10**400) is to_finite_float(-(10**400)) is None
    assert to_finite_float(10**300) == 1e300


@pytest.mark.parametrize("score", [sys.float_info.max, -sys.float_info.max, 0.1, 5e-300])
def test_the_mean_of_equal_scores_is_that_score(score):
    for count in (1, 2, 3, 7, 100):
        assert average([score] * count) == pytest.approx(score, rel=1e-15)


def test_only_finite_scores_count():
    trial = make_trial(*(result("00", i, s) for i, s in enumerate((1.0, None, math.inf), 1)))
    assert trial.finite_scores == [1.0]
    assert trial.score == math.inf and trial.finite_score is None


@pytest.mark.parametrize(
    ("reason", "sentence", "text"),
    [
        ("budget", "", "finished"),
        ("interrupted", "", "interrupted"),
        ("error", "reset raised", "failed: reset raised"),
        ("stopped", "stopped by hand", "stopped by hand"),
        ("my_reason", "", "stopped: my reason"),
    ],
)
def test_the_status_of_an_ended_trial_is_in_words(reason, sentence, text):
    assert make_trial(end("00", 4, reason, sentence)).status_text == text


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


def test_the_state_counts_the_iterations_without_a_better_score():
    trial = make_trial(result("00", 7, 0.5, stagnant=3), patience=5)
    assert trial.status_text == "running, no better for 3 of 5"
    assert make_trial(result("00", 7, 0.5), patience=5).status_text == "running"
