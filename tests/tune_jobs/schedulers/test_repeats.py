# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
"""The best settings of a sweep, trained once more on another seed."""

import math

import pytest
from sessions import make_session
from synthetic_sweep import end, job_row, result

from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import Row, TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.jobs.search_space import Space
from tune_jobs.schedulers.trial_queue import Repeats

SCORES = {"00": 0.30, "01": 0.10, "02": 0.20, "03": math.nan}
AGAIN = {"01r": "01", "02r": "02"}


def rows(again=(), **changed):
    """Four trials that have ended, and the scores of the repeats of 01 and 02."""
    found: list[Row] = [job_row(trials=6, iterations=9, **changed)]
    for trial, score in [*SCORES.items(), *zip(AGAIN, again, strict=False)]:
        of = AGAIN.get(trial, "")
        config = {"lr": 1e-3 * (1 + int(of or trial))}
        found.append(TrialRow(trial=trial, config=config, repeats=of))
        found += [result(trial, 9, score), end(trial, 9, "budget")]
    return found


@pytest.fixture
def log(tmp_path):
    for row in rows():
        EventLog(tmp_path / "events.jsonl").append(row)
    return tmp_path


def make_repeats(directory, earlier=(), count=2, trials=6):
    job = make_session(directory, trials=trials, repeats=count).job
    return Repeats(job, directory, earlier)


def test_the_best_settings_are_trained_again(log):
    repeats = make_repeats(log)
    assert repeats.num_left == 2
    chosen = [(plan.trial, plan.config, of) for plan, of in repeats.choose()]
    assert chosen == [("01r", {"lr": 2e-3}, "01"), ("02r", {"lr": 3e-3}, "02")]
    assert repeats.num_left == 0


def test_a_resumed_sweep_repeats_what_is_left(log):
    started = rows(again=[0.12])[-3:]
    for row in started:
        EventLog(log / "events.jsonl").append(row)
    ((plan, repeated),) = make_repeats(log, started).choose()
    assert (plan.trial, repeated) == ("02r", "02")


def test_an_extended_sweep_repeats_what_is_among_the_best_by_now(log):
    again = [TrialRow(trial="00r", config={}, repeats="00"), end("00r", 9, "budget")]
    for row in again:
        EventLog(log / "events.jsonl").append(row)
    assert make_repeats(log, again, count=1).num_left == 0
    repeats = make_repeats(log, [*again, job_row(extension="trials from 4 to 6")])
    assert [of for _, of in repeats.choose()] == ["01", "02"]
    again = [TrialRow(trial="01r", config={}, repeats="01"), end("01r", 9, "budget")]
    for row in again:
        EventLog(log / "events.jsonl").append(row)
    repeats = make_repeats(log, [job_row(extension="trials from 4 to 6")])
    repeats.drop_needless()
    assert repeats.num_left == 1
    assert [of for _, of in repeats.choose()] == ["02"], "nothing is repeated twice"


def test_trials_without_a_score_are_not_repeated(log):
    repeats = make_repeats(log, count=5, trials=9)
    assert [of for _, of in repeats.choose()] == ["01", "02", "00"]
    assert repeats.num_left == 0, "nothing is left that could be repeated"


def test_the_best_mean_of_both_trainings_decides():
    outcome = Outcome.from_rows(rows(again=[0.40, 0.12]))
    assert [[t.id for t in pair] for pair in outcome.repeated] == [["02", "02r"], ["01", "01r"]]
    assert [trial.id for trial in outcome.candidates] == ["02r", "02"]
    assert outcome.best.id == "02r"
    assert Outcome.from_rows(rows(again=[0.4, 0.12], mode="max")).repeated[0][0].id == "01"


def test_a_repeat_counts_when_it_has_ended():
    running = [row for row in rows(again=[0.05]) if not (row.kind == "end" and row.trial == "01r")]
    outcome = Outcome.from_rows(running)
    assert (outcome.repeated, outcome.best.id) == ([], "01r")


def test_settings_that_diverge_on_another_seed_do_not_win():
    outcome = Outcome.from_rows(rows(again=[math.nan, 0.5]))
    assert [pair[0].id for pair in outcome.repeated] == ["02"]
    assert outcome.best.id == "02"


def test_a_damaged_log_lacks_the_trial_that_was_repeated():
    lost = [row for row in rows(again=[0.4, 0.12]) if getattr(row, "trial", "") != "02"]
    assert [pair[0].id for pair in Outcome.from_rows(lost).repeated] == ["01"]
    without_scores = [row for row in rows([0.4, 0.12]) if row.kind != "result" or row.trial != "02"]
    assert [pair[0].id for pair in Outcome.from_rows(without_scores).repeated] == ["01"]


def test_rungs_and_sampler_leave_repeats_alone(tmp_path):
    search = {"lr": Space("loguniform", (1e-4, 1e-2))}
    session = make_session(tmp_path, trials=6, repeats=2, searcher="optuna", search=search)
    assert [sorted(b.next_rung_index) for b in session.scheduler.brackets] == [
        ["00", "01", "02", "03"]
    ]
    assert session.sampler.num_left == 4
    for row in rows(again=[0.1, 0.2])[1:]:
        session.sampler.observe_row(row)
    assert session.sampler.num_left == 0
    assert len(session.sampler._study.trials) == 4
