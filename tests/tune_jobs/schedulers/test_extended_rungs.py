# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false
"""Which trials wait, continue and end where a run with rungs is extended."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_sweep import job_row

from rungwise.run_log.events import DecisionRow, EndRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.jobs.extension import extend_job
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.schedulers.asha import make_decision
from tune_jobs.schedulers.brackets import Brackets
from tune_jobs.schedulers.successive_halving import Bracket
from tune_jobs.session.tune_session import make_scheduler

FACTOR = 2


def start(trials, iterations):
    return job_row(mode="max", trials=trials, iterations=iterations, scheduler={"pauses": True})


def bracket_of(trials, iterations):
    levels = [at for at in (2, 4, 8, 16) if at < iterations]
    return Brackets([Bracket(levels, "max", FACTOR, [f"{i:02d}" for i in range(trials)])])


def play(sweep, scores, iterations, most=math.inf, reopened=()):
    """Drive trials one after the other; return the rows of at most so many decisions and ends."""
    (rungs,), rows = sweep, list(map(make_decision, reopened))
    while len(rows) < most and (rungs.next_rung_index or rungs.waiting_rung_index):
        if (trial := rungs.find_promotable()) is not None:
            rows.append(make_decision(rungs.promote(trial)))
        elif rungs.next_rung_index:
            trial = max(rungs.next_rung_index, key=lambda t: (rungs.next_rung_index[t], t))
            place = rungs.next_rung_index[trial]
            if place < len(rungs.levels):
                verdict = rungs.enter_rung(trial, rungs.levels[place], scores[int(trial)])
                rows.append(make_decision(verdict))
            else:
                rungs.remove_trial(trial)
                rows.append(EndRow(trial=trial, iteration=iterations, reason="budget"))
        for decision in map(make_decision, rungs.end_hopeless()):
            rows += [decision, decision.make_end()]
    return rows


def list_ends(rows):
    return {row.trial: row.reason for row in rows if isinstance(row, EndRow)}


@settings(max_examples=80, derandomize=True)
@given(
    st.permutations(range(12)),
    st.integers(2, 12),
    st.sampled_from([(8, 8), (8, 16), (8, 32)]),
    st.integers(0, 60),
)
def test_an_extended_sweep_killed_at_any_time_ends_without_a_wrong_stop(order, few, budgets, kill):
    scores, (short, long) = list(map(float, order)), budgets
    rows = [start(few, short), *play(bracket_of(few, short), scores, short)]
    killed = bracket_of(12, long)
    reopened = killed.restore([*rows, start(12, long)])
    rows += [start(12, long), *play(killed, scores, long, kill, reopened)]
    resumed = bracket_of(12, long)
    reopened = resumed.restore([*rows, start(12, long)])
    rows += [start(12, long), *play(resumed, scores, long, reopened=reopened)]
    outcome = Outcome.from_rows(rows)
    assert all(trial.end_reason in ("asha", "budget") for trial in outcome.trials)
    assert len(outcome.trials) == 12
    assert list_ends(rows)[f"{order.index(11):02d}"] == "budget", "the best is not lost"
    for trial in outcome.trials:
        if trial.end_reason == "asha":
            (last,) = [row for row in trial.decisions if not row.keep]
            (bracket,) = resumed
            rung = bracket.rungs[bracket.levels.index(last.rung)]
            assert rung.rank(trial.id) > len(rung.entries) // FACTOR, "one of the best ended"


def test_a_trial_that_was_ended_waits_again_where_trials_join():
    first = bracket_of(4, 8)
    rows = [start(4, 8), *play(first, [3.0, 2.0, 1.0, 0.0], 8)]
    assert list_ends(rows) == {"00": "budget", "01": "budget", "02": "asha", "03": "asha"}
    again = bracket_of(8, 8)
    decisions = list(map(make_decision, again.restore([*rows, start(8, 8)])))
    assert next(iter(again)).waiting_rung_index == {"02": 1, "03": 0}
    (sentence,) = [row.sentence for row in decisions if row.trial == "03" and row.waits]
    assert sentence == "paused again at rung 2: 4th of 4; trials have joined, of which 4 may come"
    # Its row stands for it in the session after that one, which says nothing anew.
    later = bracket_of(8, 8)
    assert later.restore([*rows, start(8, 8), *decisions, start(8, 8)]) == []
    assert next(iter(later)).waiting_rung_index == next(iter(again)).waiting_rung_index


def test_decisions_stand_where_only_the_budget_of_a_trial_grows():
    rows = [start(4, 8), *play(bracket_of(4, 8), [3.0, 2.0, 1.0, 0.0], 8)]
    sweep = bracket_of(4, 32)
    (again,) = sweep
    assert sweep.restore([*rows, start(4, 32)]) == [] and not again.waiting_rung_index
    assert again.next_rung_index == {"00": 2, "01": 2}, "they enter the rung where they had ended"
    assert sweep.report("00", 9, 3.0, {}).rung == 8


def test_a_diverged_trial_and_one_that_cannot_pause_stay_ended():
    rows = [start(2, 8), *play(bracket_of(2, 8), [math.nan, 1.0], 8)]
    sweep = bracket_of(8, 8)
    (again,) = sweep
    assert sweep.restore([*rows, start(8, 8)]) == []
    assert "00" not in again.waiting_rung_index and "00" not in again.next_rung_index
    unable = job_row(mode="max", trials=8, iterations=8, scheduler={"pauses": False})
    decision = DecisionRow(
        trial="02", iteration=2, rung=2, score=1.0, cut=2.0, rank=2, of=2, keep=False, sentence=""
    )
    assert Outcome.from_rows([*rows, decision, decision.make_end(), unable]).trials[2].end


def test_each_trial_stays_in_its_bracket_where_rungs_follow(tmp_path):
    about = {
        "env": "CartPole-v1",
        "metric": "return_mean",
        "mode": "max",
        "brackets": 2,
        "grace": 4,
    }
    search = {"lr": {"loguniform": [1e-4, 1e-2]}}
    job = make_job({**about, "trials": 16, "iterations": 32, "search": search})
    longer = extend_job(job, {"iterations": 64})
    first, second = (job_row(scheduler={"rungs": one.rungs}) for one in (job, longer))
    before = make_scheduler(job, tmp_path, [first])
    after = make_scheduler(longer, tmp_path, [first, second])
    assert (len(job.rungs), len(longer.rungs)) == (3, 4)
    for old, new in zip(before.brackets, after.brackets, strict=True):
        assert old.next_rung_index == new.next_rung_index
