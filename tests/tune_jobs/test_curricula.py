# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false
"""A run that falls to the scores of a harder stage is no worse: it has mastered the one before."""

from types import SimpleNamespace

import numpy as np
import pytest
from health_runs import history
from sessions import get_end, make_result, make_session
from synthetic_sweep import job_row, result

from rungwise.health import History, diagnose
from rungwise.health.metric_table import MetricTable
from rungwise.health.rules.no_improvement import NoImprovement
from rungwise.health.rules.reward_hacking import RewardHacking
from rungwise.judging.doctor import doctor
from rungwise.metrics import STAGE, STAGES_LEFT
from rungwise.run_log.events import ResultRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.score_noise import NoiseSource
from tune_jobs.evaluation.checkpoint_keeper import CheckpointChoice
from tune_jobs.evaluation.scoring import AgentScore
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.schedulers.asha import make_decision
from tune_jobs.schedulers.brackets import make_brackets
from tune_jobs.schedulers.pbt import RecordedPBT

CLIMB = [*np.linspace(0.1, 0.9, 20), *np.linspace(0.2, 0.8, 20)]
STAGES = [0.0] * 20 + [1.0] * 20
FLAT = 0.02 * np.sin(3.0 * np.arange(60))


def test_the_last_change_of_a_metric_is_a_row():
    def find(*values):
        rows = [{} if value is None else {STAGE: value} for value in values]
        return MetricTable.from_rows(rows).find_last_change(STAGE)

    assert [find(), find(None, None), find(0, 0, None)] == [0, 0, 0]
    assert [find(0, 1, 1, None), find(0, None, 2), find(0, 1, 0)] == [1, 2, 2]
    assert find(0.1, 0.1, 0.2, 0.2) == 2


@pytest.mark.parametrize(("score", "known"), [("score", 20), ("held_out_score", 40)])
def test_scores_of_training_are_those_of_the_current_stage(score, known):
    seen = history(40, **{score: CLIMB, STAGE: STAGES})
    seen = History(seen.rows, 100, score)
    assert seen.progress.known_scores.size == known and seen.score_budget == 100
    assert seen.progress.improved
    assert seen.without_last(20).progress.known_scores.size == 20
    assert history(40, score=CLIMB).progress.known_scores.size == 40


def test_a_moving_average_is_of_the_stage_once_no_other_episode_is_in_it():
    seen = history(40, return_mean_100=CLIMB, episodes=25, stage=STAGES)
    seen = History(seen.rows, 100, "return_mean_100", is_smoothed=True)
    assert seen.progress.known_scores.size == 16


def test_a_run_that_has_mastered_a_stage_is_only_warned_about():
    flat = {
        "score": [10.01, 10.0] * 30,
        "observation_constant_fraction": 1.0,
        "entropy_normalised": 1e-3,
    }
    stuck = history(60, 60, **flat, stage=[0.0] * 2 + [1.0] * 58)
    assert NoImprovement()(stuck).severity == "stop"
    found = diagnose(stuck).findings
    assert found and {finding.severity for finding in found} == {"warn"}
    assert diagnose(history(60, 60, **flat)).stop


def test_a_stage_that_pays_more_is_no_reward_hacking():
    stages = [0.0] * 50 + [1.0] * 50
    rates = [*np.linspace(0.1, 0.9, 50), *np.linspace(0.2, 0.3, 50)]
    paid = [(1 + 3 * stage) * (1 + rate) for stage, rate in zip(stages, rates, strict=True)]
    curves = {"success_rate": rates, "return_mean": paid}
    assert RewardHacking()(history(100, **curves)).severity == "stop"
    assert RewardHacking()(history(100, **curves, stage=stages)) is None


@pytest.mark.parametrize("harder", [1.0, 0.1])
@pytest.mark.parametrize("name", ["stage", "train/stage", "curriculum/level"])
def test_a_stage_is_known_in_logs_of_others(tmp_path, name, harder):
    stages = [0.0] * 50 + [1.0] * 50
    rates = [*np.linspace(0.1, 0.9, 50), *np.linspace(0.2, 0.3, 50)]
    table = {
        "return": [(1 + 3 * at) * (1 + rate) for at, rate in zip(stages, rates, strict=True)],
        "success_rate": rates,
    }

    def find_warnings(columns):
        lines = [
            ",".join(columns),
            *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
        ]
        (tmp_path / "progress.csv").write_text("\n".join(lines))
        found = doctor(tmp_path / "progress.csv")["findings"]
        return {finding["symptom"] for finding in found if finding["severity"] != "note"}

    assert "reward_hacking" in find_warnings(table)
    assert "reward_hacking" not in find_warnings(table | {name: [harder * at for at in stages]})


@pytest.mark.parametrize("staged", [True, False])
def test_the_patience_begins_anew_with_a_stage(tmp_path, staged):
    rows = []
    session = make_session(tmp_path, rows.append, patience=8, iterations=200)
    for i, value in enumerate([*np.linspace(0.1, 0.9, 16), *[0.5] * 40], 1):
        metrics = {"return_mean": value} | ({STAGE: float(i > 16)} if staged else {})
        if session.stopper("00", make_result("00", i, value, metrics)):
            break
    results = [row for row in rows if isinstance(row, ResultRow)]
    assert {row.stage_since for row in results[16:]} == ({17} if staged else {0})
    assert get_end(rows)[1] == "plateau"
    assert (get_end(rows)[0] > 24) is staged


@pytest.mark.parametrize(("metric", "end"), [("return_mean", 20), ("held_out_return_mean", 3)])
def test_a_target_counts_in_the_last_stage_or_on_held_out_episodes(tmp_path, metric, end):
    rows = []
    session = make_session(tmp_path, rows.append, metric=metric, target=0.8, iterations=100)
    for i in range(1, 40):
        metrics = {metric: 0.9 if i > 2 else 0.1, STAGE: float(i >= 20), STAGES_LEFT: float(i < 20)}
        if session.stopper("00", make_result("00", i, metrics[metric], metrics)):
            break
    assert get_end(rows) == (end, "target")


def choose(metric):
    choice = CheckpointChoice(metric, "max", 0.01)
    for iteration, (value, stage) in enumerate(zip(CLIMB[:24], STAGES[:24], strict=True), 1):
        choice.add_result(iteration, {metric: value, STAGE: stage, "episodes": 50})
        choice.rate_previous(iteration)
        choice.set_newest(iteration, "")
    return choice.is_good_enough(choice.rate_newest(24))


def test_the_best_checkpoint_of_an_easier_stage_is_forgotten():
    assert choose("won")
    assert not choose("held_out_won"), "its episodes are of the last stage all along"


def test_a_score_pools_no_episodes_of_an_easier_stage():
    score = AgentScore("won", 30)

    def measure(value, stage, episodes):
        return score.measure(
            {"nonfinite": 0, "won": value, STAGE: stage, "episodes": episodes}, False
        )

    assert measure(0.9, 0.0, 40) == 0.9
    assert measure(0.1, 1.0, 10) is None, "too few of this stage"
    again = AgentScore("won", 30, score.episodes.iterations, stage=score.stage)
    assert measure(0.2, 1.0, 10) == pytest.approx(0.15)
    assert again.stage == 1.0 and again.episodes.episodes == 10


def test_a_trial_of_a_later_stage_comes_first_at_a_rung():
    sweep, resumed = (
        make_brackets("ABCD", [10], "max", 2, 1, noise=NoiseSource("won")) for _ in range(2)
    )
    (bracket,), rows, ends = sweep, [], []
    for trial, value, stage in (
        ("A", 0.3, 1.0),
        ("B", 0.7, 0.0),
        ("C", 0.75, 0.0),
        ("D", 0.2, 1.0),
    ):
        for i in range(1, 11):
            metrics = {STAGE: stage if i > 4 else 0.0}
            score = value if i > 4 else 0.9
            rows.append(result(trial, i, score, metrics=metrics))
            if verdict := sweep.report(trial, i, score, metrics):
                rows.append(make_decision(verdict))
        while promoted := bracket.find_promotable():
            rows.append(make_decision(bracket.promote(promoted)))
        ends += map(make_decision, bracket.end_hopeless())
    assert [row.trial for row in ends] == ["B", "C"]
    why = "stage 0, cut-off stage 1 (top 2 of 4 continue)"
    assert ends[1].sentence == f"stopped at iteration 10: {why}"
    resumed.restore([*rows, *ends])
    assert next(iter(resumed)).rungs[0].order == bracket.rungs[0].order


def test_a_member_of_a_later_stage_is_the_donor(tmp_path):
    about = {"env": "CartPole-v1", "scheduler": "pbt", "trials": 4, "metric": "return_mean"}
    job = make_job(about | {"mode": "max", "search": {"lr": {"loguniform": [1e-4, 1e-2]}}})
    pbt = RecordedPBT(job, tmp_path, [])
    scores = {"00": (0.9, 0.0), "01": (0.2, 1.0), "02": (0.8, 0.0), "03": (0.3, 1.0)}
    for name, (score, stage) in scores.items():
        plan = {"trial": name, "config": {"lr": 1e-3}}
        attributes = {"config": {"plan": plan}, "is_finished": lambda self: False}
        trial = type("Member", (), attributes)()
        state = pbt._trial_state[trial] = SimpleNamespace(last_score=None)
        pbt._curves[name].add(3, score, {STAGE: stage}, pbt._noise)
        pbt._save_trial_state(state, 3, {"iteration": 3}, trial)
    names = [[trial.config["plan"]["trial"] for trial in part] for part in pbt._quantiles()]
    assert names == [["02"], ["03"]]


def test_the_best_trial_is_the_one_that_is_furthest():
    rows = [job_row(metric="won", mode="max", trials=2, iterations=4)]
    for trial, stage in (("00", 0.0), ("01", 1.0)):
        for i, score in enumerate([0.9, 0.9, 0.9, 0.4], 1):
            here, since = (stage, 4) if i == 4 and stage else (0.0, 0)
            rows.append(result(trial, i, score, metrics={STAGE: here}, stage_since=since))
    outcome = Outcome.from_rows(rows)
    assert [trial.id for trial in outcome.ranked] == ["01", "00"]
    assert [trial.id for trial in outcome.best_first] == ["01", "00"]
    assert outcome.best.settled_score == 0.4
