"""The outcome is what the rows say, and its sums are right for any log."""

# pyright: basic
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_sweep import end, finding, job_row, result

from rungwise.run_log.events import (
    CheckpointRow,
    EvaluationRow,
    FinalRow,
    JobEndRow,
    ResultRow,
    TrialRow,
)
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import average_later_half
from rungwise.validation import InputError

BUDGET = 9


@st.composite
def logs(draw):
    """A job of some trials; each ran some iterations, and most have ended for some reason."""
    rows = []
    for place in range(draw(st.integers(1, 6))):
        trial, ran = f"{place:02d}", draw(st.integers(0, BUDGET))
        rows.append([TrialRow(trial=trial, config={})])
        rows[-1] += [result(trial, i, draw(st.floats())) for i in range(1, ran + 1)]
        reason = draw(st.sampled_from([None, "budget", "asha", "health", "error", "interrupted"]))
        if reason:
            rows[-1].append(end(trial, ran, reason))
    job = job_row(trials=draw(st.integers(len(rows), 8)), iterations=BUDGET)
    merged = []
    while any(rows):
        merged.append(rows[draw(st.sampled_from([i for i, r in enumerate(rows) if r]))].pop(0))
    return [job, *merged]


def best_id(rows):
    best = Outcome.from_rows(rows).best
    return best and best.id


def naive_saved(rows):
    saved = {}
    for row in rows:
        if row.kind == "end" and row.reason not in ("interrupted", "error", "budget"):
            ran = [r.iteration for r in rows if r.kind == "result" and r.trial == row.trial]
            saved[row.reason] = saved.get(row.reason, 0) + BUDGET - max(ran, default=0)
    return {reason: iterations for reason, iterations in saved.items() if iterations}


@given(logs())
def test_compute_saved_adds_up_by_reason(rows):
    outcome = Outcome.from_rows(rows)
    assert outcome.iterations_saved_by_reason == naive_saved(rows)
    assert outcome.compute_saved == sum(naive_saved(rows).values()) / (rows[0].trials * BUDGET)
    saved = sum(outcome.iterations_saved_by_reason.values())
    # A program that ended by itself has run all there was, whatever its budget was taken to be.
    finished = [trial for trial in outcome.trials if trial.end_reason == "budget"]
    shorter = sum(BUDGET - trial.iterations for trial in finished)
    assert outcome.iterations_run + saved + outcome.iterations_open == outcome.budget - shorter


@given(logs())
def test_the_best_trial_has_the_best_finite_scores(rows):
    scores = {}
    for row in rows:
        if row.kind == "result":
            scores.setdefault(row.trial, []).append((row.iteration, row.score))
    means = [
        (average_later_half(curve, curve[-1][0]), trial)
        for trial, curve in scores.items()
        if math.isfinite(curve[-1][1])
    ]
    assert best_id(rows) == (min(means)[1] if means else None)


@given(logs())
def test_the_answer_is_strict_json(rows):
    json.dumps(Outcome.from_rows(rows).as_dict(), allow_nan=False)


def test_the_answer_has_the_fields_of_the_contract(sweep_rows, tmp_path):
    outcome = Outcome.from_rows(sweep_rows)
    assert outcome.as_dict("runs/x")["best"]["checkpoint"] is None  # there is no such file
    assert outcome.best and outcome.best.checkpoint
    assert outcome.as_dict("runs/x")["report"] is None
    (tmp_path / outcome.best.checkpoint).mkdir(parents=True)
    (tmp_path / "report.html").touch()
    answer = outcome.as_dict(tmp_path)
    fields = ["run", "trials", "best", "compute_saved", "observed", "siblings"]
    fields += ["rung_agreement", "videos", "report"]
    assert list(answer) == fields
    assert answer["best"]["checkpoint"].startswith(f"{tmp_path}/trials/")
    assert answer["report"] == f"{tmp_path}/report.html"


def test_a_trial_with_nan_is_never_the_best():
    rows = [job_row(), result("01", 1, 0.1), result("01", 2, math.nan), result("02", 1, 5.0)]
    assert best_id(rows) == "02"
    assert Outcome.from_rows(rows).as_dict()["trials"][0]["score"] is None


def test_mode_max_prefers_high_scores_and_ties_the_lower_id():
    rows = [job_row(mode="max"), result("03", 1, 2.0), result("02", 1, 2.0), result("01", 1, 1.0)]
    assert best_id(rows) == "02"


def test_after_a_resume_the_later_rows_win():
    rows = [job_row(), *(result("01", i, 1.0) for i in (1, 2, 3)), end("01", 3, "interrupted")]
    rows += [job_row(resumed=True), result("01", 2, 0.7), result("01", 3, 0.6)]
    (trial,) = Outcome.from_rows(rows).trials
    assert [(row.iteration, row.score) for row in trial.results] == [(1, 1.0), (2, 0.7), (3, 0.6)]
    assert (trial.iterations, trial.end_reason, trial.status_text) == (3, None, "running")


def test_interrupted_job_interrupts_trials_and_saves_nothing():
    rows = [job_row(trials=4), TrialRow(trial="02", config={}), result("01", 5, 0.3)]
    outcome = Outcome.from_rows([*rows, JobEndRow(reason="interrupted", seconds=9.0)])
    assert [trial.end_reason for trial in outcome.trials] == ["interrupted", "interrupted"]
    assert outcome.compute_saved == 0 and outcome.iterations_open == 4 * 27 - 5
    running = Outcome.from_rows(rows)
    assert [trial.status_text for trial in running.trials] == ["running", "no result yet"]


def test_a_finished_job_saves_what_it_has_not_run(sweep_rows):
    outcome = Outcome.from_rows(sweep_rows)
    done = outcome.iterations_run + outcome.iterations_open  # by a resume, of the trial that failed
    assert outcome.compute_saved == pytest.approx(1 - done / outcome.budget)
    assert outcome.iterations_saved_by_reason.keys() == {"asha", "health"}


def test_latest_checkpoint_and_best_evaluation_are_returned():
    figures = {"episodes": 2, "seed": 0, "policy": {"median": 1.0}}
    rows = [job_row(), result("01", 1, 0.3), result("02", 1, 0.5)]
    rows += [CheckpointRow(trial="01", iteration=i, path=f"c/{i}") for i in (1, 2)]
    rows += [EvaluationRow(trial=t, checkpoint="c", **figures) for t in ("01", "02")]
    outcome: Any = Outcome.from_rows(rows)
    assert outcome.best.checkpoint == "c/2"
    assert outcome.evaluation.trial == "01"


def compared(checkpoint):
    return EvaluationRow(trial="00", checkpoint=checkpoint, episodes=2, seed=0, policy={"mean": 1})


def checkpoint_at(iteration, best=""):
    return CheckpointRow(trial="00", iteration=iteration, path=f"c/{iteration}", best=best)


@pytest.mark.parametrize(
    ("later", "checkpoint"),
    [
        ([], "c/2"),
        ([result("00", 3, 0.4)], "c/2"),
        ([checkpoint_at(4)], None),
        ([checkpoint_at(4, best="c/4")], None),
        ([checkpoint_at(4, best="c/2")], "c/2"),
        ([checkpoint_at(4), compared("c/4")], "c/4"),
        ([checkpoint_at(4), compared("c/3")], "c/3"),  # that of iteration 4 is damaged
        ([result("01", 4, 0.1)], None),  # another trial is the best by now
    ],
)
def test_a_comparison_counts_until_the_best_trial_has_another_checkpoint(later, checkpoint):
    rows = [job_row(), result("00", 2, 0.5), checkpoint_at(2), compared("c/2")]
    outcome: Any = Outcome.from_rows([*rows, job_row(resumed=True), *later])
    assert (outcome.evaluation and outcome.evaluation.checkpoint) == checkpoint


def test_a_log_without_a_job_is_refused():
    with pytest.raises(InputError, match="no job row"):
        Outcome.from_rows([result("01", 1, 0.5)])


@pytest.mark.parametrize(("best", "iteration", "score"), [({}, 6, None), ("c/4", 4, 2.0)])
def test_a_trials_result_is_what_its_newest_checkpoint_names(best, iteration, score):
    named = {"best": "c/4", "best_iteration": 4, "best_score": 2.0} if best else {}
    rows = [job_row(), *(result("00", i, 1.0) for i in range(1, 7))]
    rows += [CheckpointRow(trial="00", iteration=i, path=f"c/{i}", **named) for i in (2, 6)]
    trial = Outcome.from_rows(rows).trials[0]
    assert (trial.checkpoint, trial.checkpoint_iteration) == (f"c/{iteration}", iteration)
    assert trial.checkpoint_score == score


def progress(done, left, **metrics):
    counts = {"v_star_starts": done, "v_star_starts_left": left}
    return ResultRow(
        trial="00", iteration=0, score=None, seconds=1.0, env_steps=9, metrics=counts | metrics
    )


def test_a_trial_in_stage_1_says_how_far_it_is():
    known = {"v_star_mean": 0.41, "v_star_std": 0.2, "v_star_max": 1.0, "v_star_left_s": 240.0}
    known["v_star_failed_fraction"] = 0.32
    rows = [job_row(), TrialRow(trial="00", config={}), progress(8, 92), progress(40, 60, **known)]
    trial = Outcome.from_rows(rows).trials[0]
    assert (trial.iterations, len(trial.results)) == (0, 1)
    assert trial.status_text == (
        "V* of 40/100 starts, 4 min left, mean 0.41 (std 0.2, max 1), no success from 32 %"
    )


def test_the_first_iteration_replaces_the_progress_of_stage_1():
    rows = [job_row(), TrialRow(trial="00", config={}), progress(40, 60), result("00", 1, 0.5)]
    trial = Outcome.from_rows(rows).trials[0]
    assert [row.iteration for row in trial.results] == [1] and trial.status_text == "running"
    # A resume from before the first iteration.
    trial = Outcome.from_rows([*rows, progress(90, 10)]).trials[0]
    assert trial.iterations == 0 and "90/100" in trial.status_text


def final(trial, score):
    where: dict[str, Any] = {"checkpoint": trial, "metric": "score", "mode": "max"}
    return FinalRow(trial=trial, score=score, error=0.1, episodes=9, seed=0, **where)


def test_of_equal_finals_the_first_wins():
    rows = [job_row(mode="max"), result("01", 1, 1.0), result("02", 1, 2.0)]
    assert best_id([*rows, final("01", 3.0), final("02", 3.0)]) == "01"
    assert best_id([*rows, final("01", 3.0), final("02", math.nan)]) == "01"


@pytest.mark.parametrize(("withdrawn", "shared"), [(0, True), (3, False)])
def test_a_withdrawn_finding_points_at_nothing(withdrawn, shared):
    rows: list[Any] = [job_row()]
    for trial in ("00", "01", "02"):
        rows += [result(trial, i, 1.0) for i in range(1, 5)]
        rows.append(finding(trial, "hung", iteration=2, withdrawn=withdrawn))
    assert ("hung" in Outcome.from_rows(rows).siblings) == shared
