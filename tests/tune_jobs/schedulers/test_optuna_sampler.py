# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
"""Settings that follow from what earlier trials came to."""

import math
import sys
from dataclasses import replace

import pytest
from synthetic_sweep import job_row

from rungwise.run_log.events import DecisionRow, EndRow, ResultRow, TrialRow
from rungwise.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.jobs.search_space import Space
from tune_jobs.schedulers.optuna_sampler import OptunaSampler, check_optuna

pytest.importorskip("optuna")

SEARCH = {
    "lr": Space("loguniform", (1e-5, 1e-1)),
    "epochs": Space("int", (1, 16)),
    "hidden": Space("choice", ((32,), (64, 64))),
}


def make_job(**changed):
    job = load_job("cartpole")
    return replace(
        job,
        **{
            "searcher": "optuna",
            "search": SEARCH,
            "trials": 40,
            "repeats": 0,
            "mode": "max",
            "metric": "return_mean",
            **changed,
        },
    )


def score(drawn):
    """Best at lr 1e-2 with the larger network."""
    return -((math.log10(drawn["lr"]) + 2) ** 2) - (drawn["hidden"] == (32,))


def rows_of(plan, reason="budget", iteration=9, **metrics):
    row = ResultRow(
        trial=plan.trial,
        iteration=iteration,
        score=score(plan.config),
        seconds=1,
        env_steps=1,
        metrics=metrics,
    )
    return [
        TrialRow(trial=plan.trial, config=plan.config),
        row,
        EndRow(trial=plan.trial, iteration=iteration, reason=reason),
    ]


def played(proposals, count, **how):
    """Let so many trials be proposed and run; their rows."""
    rows = []
    for _ in range(count):
        rows.append(new := rows_of(proposals.propose(), **how))
        for row in new:
            proposals.observe_row(row)
    return [row for new in rows for row in new]


def drawn(rows):
    return [row.config for row in rows if isinstance(row, TrialRow)]


@pytest.mark.parametrize("reason", ["budget", "asha"])
def test_later_proposals_are_better_even_with_pruned_trials(tmp_path, reason):
    scores = [
        score(config)
        for config in drawn(played(OptunaSampler(make_job(), tmp_path, []), 40, reason=reason))
    ]
    first, last = scores[:10], scores[-10:]
    assert sum(last) / 10 > sum(first) / 10 + 1
    assert max(last) > -0.1


def test_same_seed_proposes_same_values_within_their_spaces(tmp_path):
    one = drawn(played(OptunaSampler(make_job(), tmp_path, []), 15))
    assert one == drawn(played(OptunaSampler(make_job(), tmp_path, []), 15))
    assert one != drawn(played(OptunaSampler(make_job(seed=1), tmp_path, []), 15))
    assert all(1e-5 <= c["lr"] <= 1e-1 and 1 <= c["epochs"] <= 16 for c in one)
    assert {c["hidden"] for c in one} == {(32,), (64, 64)}


def test_a_resumed_run_goes_on_learning_from_the_rows_of_before(tmp_path):
    rows = played(OptunaSampler(make_job(), tmp_path, []), 30)
    resumed = OptunaSampler(make_job(), tmp_path, [job_row(trials=40), *rows])
    assert resumed.num_left == 10
    rest = played(resumed, 10)
    assert next(row.trial for row in rest if isinstance(row, TrialRow)) == "30"
    later = [score(config) for config in drawn(rest)]
    assert sum(later) / 10 > sum(map(score, drawn(rows)[:10])) / 10 + 1
    assert not [c for c in drawn(rest) if c in drawn(rows)], "nothing is proposed twice"


def test_trial_of_an_earlier_session_is_learnt_from_at_its_end(tmp_path):
    plan = OptunaSampler(make_job(), tmp_path, []).propose()
    begun, result, end = rows_of(plan)
    proposals = OptunaSampler(make_job(), tmp_path, [job_row(trials=40), begun])
    assert proposals.num_left == 39
    proposals.observe_row(result)
    proposals.observe_row(end)
    assert [trial.value for trial in proposals._study.trials] == [result.score]


@pytest.mark.parametrize(
    ("reason", "changed"), [("budget", {"iterations": 18}), ("asha", {"trials": 40})]
)
def test_a_trial_that_an_extension_reopens_is_learnt_from_once(tmp_path, reason, changed):
    before = job_row(iterations=9, trials=20, scheduler={"pauses": True})
    plan = OptunaSampler(make_job(), tmp_path, []).propose()
    begun, result, end = rows_of(plan, reason)
    ranks = {"rung": 9, "score": 0.5, "cut": None, "rank": 1, "of": 1, "sentence": "said"}
    decision = DecisionRow(trial="00", iteration=9, keep=reason == "budget", **ranks)
    rows = [before, begun, result, decision, end, replace(before, **changed)]
    sampler = OptunaSampler(make_job(), tmp_path, rows)
    assert not sampler._study.trials, "it runs again, as if it had never ended"
    later = [replace(result, iteration=18, score=0.7), replace(end, iteration=18, reason="budget")]
    for row in later:
        sampler.observe_row(row)
    assert [trial.value for trial in sampler._study.trials] == [0.7]
    # The next session reads what this one learnt.
    resumed = OptunaSampler(make_job(), tmp_path, [*rows, *later, replace(before, **changed)])
    assert [trial.value for trial in resumed._study.trials] == [0.7]


def test_an_end_that_an_extension_leaves_alone_is_learnt_from(tmp_path):
    rows = rows_of(OptunaSampler(make_job(), tmp_path, []).propose(), "health")
    rows = [job_row(iterations=9), *rows, job_row(iterations=18)]
    assert len(OptunaSampler(make_job(), tmp_path, rows)._study.trials) == 1


def test_points_are_tried_first_and_learnt_from(tmp_path):
    job = make_job(points=[{"lr": 1e-3, "hidden": (64, 64)}])
    assert [config["lr"] for config in job.sample_configs()] == [1e-3]
    point = TrialRow(trial="00", config=job.sample_configs()[0])
    assert OptunaSampler(job, tmp_path, [job_row(trials=40), point]).propose().trial == "01"
    assert len(job.name_trials()) == 40


def test_a_failed_trial_teaches_nothing_and_is_not_fatal(tmp_path):
    proposals = OptunaSampler(make_job(), tmp_path, [])
    plan = proposals.propose()
    proposals.observe_row(TrialRow(trial=plan.trial, config=plan.config))
    proposals.observe_row(EndRow(trial=plan.trial, iteration=0, reason="health"))
    assert proposals.propose().trial == "01"


def test_pbt_with_proposed_settings_is_refused():
    with pytest.raises(InputError, match="proposes them one by one"):
        make_job(scheduler="pbt")


def test_without_optuna_a_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"rungwise\[optuna\]"):
        check_optuna()


def test_refused_settings_count_as_failures_of_the_study(tmp_path, monkeypatch):
    sampler = OptunaSampler(make_job(), tmp_path, [])

    def refuse(*_):
        raise InputError("they contradict each other")

    monkeypatch.setattr(Job, "make_trial_settings", refuse)
    with pytest.raises(InputError, match="contradict each other"):
        sampler.propose()
    assert {trial.state.name for trial in sampler._study.trials} == {"FAIL"}
