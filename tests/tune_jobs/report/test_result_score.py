# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The report says one number: the winner's score on fresh seeds."""

import dataclasses
from typing import Any

import pytest
from synthetic_sweep import end, job_row, result

from tune_jobs.report.result_score import estimate_training_error, find_result_score
from tune_jobs.run_log.events import EvaluationRow, FinalRow, TrialRow
from tune_jobs.run_log.outcome import Outcome

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


def test_the_mean_of_a_world_is_that_of_its_own_metric():
    figures: dict[str, Any] = {"policy": {"median": 1.0, "mean": 2.0}, "standard_errors": {}}
    row = dataclasses.replace(EVALUATION, metric="excess_risk", **figures)
    assert (score_of(row).metric, score_of(row).value) == ("excess_risk", 2.0)


def test_the_error_of_a_training_score_needs_the_spread_of_its_episodes():
    trial = Outcome.from_rows(TRAINED).trials[0]
    assert estimate_training_error(trial) == pytest.approx(0.2, abs=0.01)
    plain = Outcome.from_rows([job_row(), result("00", 1, 0.5)]).trials[0]
    assert estimate_training_error(plain) is None
