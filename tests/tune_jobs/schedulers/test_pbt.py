# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
# pyright: reportOperatorIssue=false, reportArgumentType=false
"""Population based training: what is taken over, what is told of it, and what a resume knows."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import answer, rungwise
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_sweep import job_row, result

from envs.validation import InputError
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.jobs.search_space import Space, perturb_config
from tune_jobs.report.lineage import plot_lineage, trace_ancestry
from tune_jobs.run_log.events import CheckpointRow, ExploitRow, ResultRow, TrialRow, read_event_log
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.resume import find_remaining_work
from tune_jobs.schedulers.pbt import RecordedPBT, complete_exploit

SPACES = {
    "lr": Space("loguniform", (1e-4, 1e-2)),
    "clip": Space("uniform", (0.1, 0.4)),
    "epochs": Space("int", (2, 8)),
    "activation": Space("choice", ("tanh", "relu", "elu")),
}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_what_is_explored_stays_in_its_space(seed):
    drawn = {"lr": 1e-2, "clip": 0.1, "epochs": 8, "activation": "elu"}
    after = perturb_config(SPACES, drawn, np.random.default_rng(seed))
    assert 1e-4 <= after["lr"] <= 1e-2 and 0.1 <= after["clip"] <= 0.4
    assert 2 <= after["epochs"] <= 8 and isinstance(after["epochs"], int)
    assert after["activation"] in ("tanh", "relu", "elu")


def test_three_times_in_four_a_number_changes_by_a_fifth():
    drawn = {"lr": 1e-3, "clip": 0.2, "epochs": 4, "activation": "relu"}
    rng = np.random.default_rng(0)
    found = [perturb_config(SPACES, drawn, rng) for _ in range(400)]
    near = sum(a["lr"] in (8e-4, 1.2e-3) for a in found) / 400
    assert 0.65 < near < 0.85
    assert {a["epochs"] for a in found} >= {3, 5}


@pytest.mark.parametrize("name", ["hidden", "num_envs", "env.rows"])
def test_population_cannot_search_settings_of_construction(name):
    space = {"choice": [[8], [16]]} if name == "hidden" else {"int": [4, 8]}
    with pytest.raises(InputError, match=f"cannot change {name} in the middle"):
        make_job({"env": "CartPole-v1", "scheduler": "pbt", "trials": 4, "search": {name: space}})


def exploit(trial, donor, iteration, **changed):
    fields = dict(score=0.5, donor_score=0.1, before={"lr": 0.01}, donated={"lr": 0.001})
    fields |= dict(after={"lr": 0.0012}, checkpoint=f"{donor}/{iteration}")
    return ExploitRow(trial=trial, donor=donor, iteration=iteration, **fields | changed)


def test_an_exploit_is_told_with_what_the_learner_runs_with():
    row = complete_exploit(exploit("01", "03", 9), {"lr": 0.0012})
    assert row.sentence == (
        "continues from trial 03, 0.100 to its 0.500, with lr 0.0012 (was 0.01)"
    )
    wrong = complete_exploit(exploit("01", "03", 9), {"lr": 0.001}).sentence
    assert wrong.endswith("; but its learner uses lr 0.001")


def rows_of_three():
    """Trial 02 went on from 01 at 9, which had gone on from 00 at 3."""
    rows = [
        job_row(trials=3),
        *(TrialRow(trial=t, config={"lr": 0.01}) for t in ("00", "01", "02")),
    ]
    rows += [exploit("01", "00", 3), exploit("02", "01", 9)]
    return [*rows, *(result(t, 27, s) for t, s in (("00", 0.3), ("01", 0.2), ("02", 0.1)))]


def test_lineage_reaches_the_first_ancestor_of_the_winner():
    outcome = Outcome.from_rows(rows_of_three())
    assert trace_ancestry(outcome, "02") == [("00", 0, 3), ("01", 3, 9), ("02", 9, 27)]
    blue = plot_lineage(outcome).data[-1]
    assert list(blue.x) == [0, 3, 3, 9, 9, 27] and list(blue.y) == [0, 0, -1, -1, -2, -2]
    assert outcome.best.config == {"lr": 0.0012}


def test_a_resume_goes_on_with_the_changed_settings(tmp_path):
    left = find_remaining_work(tmp_path, rows_of_three())
    assert {plan.trial: plan.config["lr"] for plan in left.plans} == {
        "00": 0.01,
        "01": 0.0012,
        "02": 0.0012,
    }


class Member:
    """A trial as Ray's scheduler knows it."""

    def __init__(self, name):
        self.name, self.config = name, {"plan": {"trial": name}}

    def is_finished(self):
        return False


def test_an_undecided_member_is_neither_donor_nor_replaced(tmp_path):
    job = make_job(
        {
            **{"env": "CartPole-v1", "scheduler": "pbt", "trials": 5, "mode": "max"},
            **{"search": {"lr": {"loguniform": [1e-4, 1e-2]}}},
        }
    )
    pbt = RecordedPBT(job, tmp_path, 0)
    members = [Member(f"{i:02d}") for i in range(5)]
    for trial in members:
        pbt._trial_state[trial] = SimpleNamespace(last_score=None)

    def compare(iteration, scores):
        for trial, score in zip(members, scores, strict=True):
            result = {"score": score, "iteration": iteration}
            pbt._save_trial_state(pbt._trial_state[trial], iteration, result, trial)
        lower, upper = pbt._quantiles()
        return [trial.name for trial in lower], [trial.name for trial in upper]

    # 04 has diverged, and 02 has no score.
    assert compare(3, [1.0, 2.0, None, 4.0, math.nan]) == (["04"], ["03"])
    # Between two measurements the last one counts.
    assert compare(4, [None] * 5) == (["04"], ["03"])
    assert compare(6, [9.0, 2.0, 1.0, 4.0, 3.0]) == (["02", "01"], ["03", "00"])


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    """Four trials of which one learns far too fast, in a real sweep."""
    directory = tmp_path_factory.mktemp("population")
    words = ["--scheduler", "pbt", "--trials", 4, "--iterations", 9, "--evaluation-episodes", 0]
    done = rungwise("tune", "causal-quick", *words, "--out", "run", "--json", cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory / "run", answer(done), read_event_log(directory / "run" / "events.jsonl")


def test_the_learner_runs_with_the_settings_of_each_exploit(population):
    _, _, rows = population
    exploits = [row for row in rows if isinstance(row, ExploitRow)]
    assert exploits
    for row in exploits:
        # entropy_coef would come back with the donor's state: it is part of every checkpoint.
        assert row.took == pytest.approx(row.after)
        assert row.donor_score <= row.score, "a small excess risk is better"
        assert "but its learner" not in row.sentence


def test_population_shares_checkpoints_and_runs_its_full_budget(population):
    run, said, rows = population
    assert [t["iterations"] for t in said["trials"]] == [9] * 4
    taken = [row.checkpoint for row in rows if isinstance(row, ExploitRow)]
    saved = {row.path: row.trial for row in rows if isinstance(row, CheckpointRow)}
    assert all(path in saved for path in taken)
    seen = [(r.trial, r.iteration) for r in rows if isinstance(r, ResultRow)]
    assert len(seen) == len(set(seen)) == 36, "no iteration was run twice or left out"
    page = (run / "report.html").read_text()
    assert "Lineage" in page and "continues from trial" in page
