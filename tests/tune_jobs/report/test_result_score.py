# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The report says one number: the winner's score on fresh seeds."""

import dataclasses
from math import nan
from typing import Any

import pytest
from synthetic_sweep import end, job_row, result

from rungwise.run_log.events import CheckpointRow, EvaluationRow, FinalRow, TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.comparison import list_scores
from tune_jobs.report.result_score import estimate_training_error, find_result_score
from tune_jobs.report.run_sections import render_winner_sections
from tune_jobs.report.shared_sections import list_cards
from tune_jobs.report.winner_section import find_winner_checkpoint

EPISODES: dict[str, Any] = {"episodes": 100, "return_mean": -14.7, "return_std": 2.0}
TRAINED = [
    job_row(trials=1, metric="return_mean", mode="max"),
    TrialRow(trial="00", config={}),
    result("00", 1, -14.7, metrics=EPISODES),
    end("00", 1, "budget"),
]
FINAL = FinalRow(
    trial="00", checkpoint="c", metric="return_mean", mode="max", score=-14.9, error=0.1,
    episodes=64, seed=256,
)  # fmt: skip
EVALUATION = EvaluationRow(
    trial="00",
    checkpoint="c",
    episodes=50,
    seed=0,
    policy={"return_mean": -14.8, "return_std": 2.0},
    baselines={"greedy": {"return_mean": -14.5}},
    standard_errors={"policy": {"return_mean": 0.28}, "greedy": {"return_mean": 0.3}},
)


def score_of(*rows):
    return find_result_score(Outcome.from_rows([*TRAINED, *rows]))


def test_the_comparison_counts_before_finals_and_training():
    assert score_of().text == "-14.7 ± 0.201" and "training" in score_of().source
    assert score_of(FINAL).text == "-14.9 ± 0.100"
    found = score_of(FINAL, EVALUATION)
    assert found.text == "-14.8 ± 0.280" and found.likely == "-14.5 ± 0.300"
    assert found.source == "on 50 fresh episodes, sampled actions"


def test_an_evaluation_of_another_trial_is_not_the_winners():
    other = dataclasses.replace(EVALUATION, trial="01")
    assert score_of(FINAL, other).text == "-14.9 ± 0.100"


def test_an_evaluation_of_an_earlier_checkpoint_is_not_the_results(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "d").mkdir()
    first = CheckpointRow(trial="00", iteration=1, path="c")
    outcome = Outcome.from_rows([*TRAINED, first, EVALUATION])
    assert find_winner_checkpoint(outcome, tmp_path) == tmp_path / "c"
    second = dataclasses.replace(first, iteration=2, path="d")
    failed = dataclasses.replace(EVALUATION, checkpoint="d", policy={}, failure="interrupted")
    extended = [TRAINED[0], result("00", 2, -9.0), second, failed]
    outcome = Outcome.from_rows([*TRAINED, first, EVALUATION, *extended])
    assert find_result_score(outcome).value == -9.0
    assert find_winner_checkpoint(outcome, tmp_path) == tmp_path / "d"


def test_the_mean_of_a_world_is_that_of_its_own_metric():
    figures: dict[str, Any] = {"policy": {"median": 1.0, "mean": 2.0}, "standard_errors": {}}
    row = dataclasses.replace(EVALUATION, metric="excess_risk", **figures)
    assert (score_of(row).metric, score_of(row).value) == ("excess_risk", 2.0)


def test_the_error_of_a_training_score_needs_the_spread_of_its_episodes():
    trial = Outcome.from_rows(TRAINED).trials[0]
    assert estimate_training_error(trial) == pytest.approx(0.2, abs=0.01)
    plain = Outcome.from_rows([job_row(), result("00", 1, 0.5)]).trials[0]
    assert estimate_training_error(plain) is None


@pytest.mark.parametrize(
    ("rows", "better"), [([], "lower"), ([FINAL], "higher"), ([EVALUATION], "higher")]
)
def test_the_headline_says_of_its_own_figure_what_is_better(rows, better):
    job = job_row(trials=1, metric="value_loss", mode="min")
    outcome = Outcome.from_rows([job, *TRAINED[1:], *rows])
    assert f"; {better} is better" in list_cards(outcome)[0].note
    mode = {"lower": "min", "higher": "max"}[better]
    assert list_scores({"run": outcome}).rows[0][1].endswith(f" ({mode})")


def test_a_final_without_a_finite_score_is_never_called_the_winner():
    lost = [dataclasses.replace(FINAL, trial=t, score=s) for t, s in (("01", None), ("02", nan))]
    rows = [TrialRow(trial=final.trial, config={}) for final in lost]
    outcome = Outcome.from_rows([*TRAINED, *rows, *lost, FINAL])
    (page,) = render_winner_sections(outcome)
    assert page.count("<b>winner</b>") == 1 and "<b>winner</b> trial 00" in page
