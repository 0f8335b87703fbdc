# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
"""An observed job ends no trial early, and says which it would have ended."""

import io
from types import SimpleNamespace

import pytest
from health_runs import flat
from ray.tune.schedulers import TrialScheduler
from rich.console import Console
from sessions import get_end, make_result, make_session
from synthetic_sweep import job_row, result

from cluster.terminal.event_lines import EventLines
from cluster.terminal.outcome_text import print_outcome
from rungwise.run_log.events import (
    CheckpointRow,
    DecisionRow,
    EndRow,
    JobEndRow,
    ObservedEndRow,
    TrialRow,
)
from rungwise.run_log.ledger import build_ledger
from rungwise.run_log.outcome import Outcome, OutcomeBuilder
from rungwise.run_log.stop_requests import request_stop
from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.report.report import write_report
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.schedulers.brackets import make_brackets
from tune_jobs.session.remaining_work import find_remaining_work

SICK = {"return_mean": 1.0, "nonfinite": 3.0, "nonfinite_where": "loss"}


def play(tmp_path, metrics, **fields):
    """The rows of a trial that reports these metrics, one an iteration."""
    rows = []
    session = make_session(tmp_path, rows.append, **fields)
    for i, values in enumerate(metrics, 1):
        if session.stopper("00", make_result("00", i, values["return_mean"], values)):
            break
    return rows


def list_observed(rows):
    return [(r.iteration, r.reason) for r in rows if isinstance(r, ObservedEndRow)]


@pytest.mark.parametrize("observe", [False, True])
def test_health_ends_nothing_that_is_only_observed(tmp_path, observe):
    metrics = [{"return_mean": 1.0}, SICK, SICK, {"return_mean": 2.0}]
    rows = play(tmp_path, metrics, iterations=4, grace=1, observe=observe)
    assert get_end(rows) == ((4, "budget") if observe else (2, "health"))
    assert list_observed(rows) == ([(2, "health")] if observe else [])
    if observe:
        row = next(r for r in rows if isinstance(r, ObservedEndRow))
        assert row.sentence.startswith("not_finite: ")


def test_patience_ends_nothing_that_is_only_observed(tmp_path):
    metrics = [{"return_mean": value} for value in [1.0] * 6]
    rows = play(tmp_path, metrics, iterations=6, grace=1, patience=3, observe=True)
    assert get_end(rows) == (6, "budget") and list_observed(rows) == [(4, "plateau")]


def test_a_target_and_a_request_still_end_a_trial(tmp_path):
    metrics = [{"return_mean": value} for value in (1.0, 3.0, 3.0)]
    rows = play(tmp_path, metrics, iterations=9, target=2.5, observe=True)
    assert get_end(rows) == (2, "target")
    request_stop(tmp_path, "00")
    assert get_end(play(tmp_path, metrics, iterations=9, observe=True)) == (1, "stopped")


def test_rungs_decide_and_every_trial_continues():
    names = [f"{i:02d}" for i in range(6)]
    asha = RecordedASHA(make_brackets(names, [3], "max", 3, 1, pauses=False), observes=True)
    for name in names:
        trial = SimpleNamespace(config={"plan": {"trial": name}})
        asha.on_trial_add(None, trial)
        about = {"trial": name, "iteration": 3, "score": 9.0 - int(name), "metrics": "{}"}
        assert asha.on_trial_result(None, trial, about) == TrialScheduler.CONTINUE
    rows = asha.take_rows()
    ended = [row.trial for row in rows if isinstance(row, ObservedEndRow)]
    assert ended and "00" not in ended and not [r for r in rows if isinstance(r, EndRow)]
    stopped = [row.trial for row in rows if isinstance(row, DecisionRow) and not row.keep]
    assert stopped == ended


def test_population_based_training_cannot_only_be_observed():
    with pytest.raises(InputError, match="observe is true, but under scheduler: pbt"):
        make_job(
            {
                **{"env": "CartPole-v1", "scheduler": "pbt", "trials": 8, "observe": True},
                "search": {"lr": {"loguniform": [1e-4, 1e-2]}},
            }
        )


def observed_rows(scores, at=4, **about):
    """A finished run of two trials, the first of which would have been ended."""
    rows = [job_row(trials=2, iterations=len(scores), observe=True, mode="max", **about)]
    for trial in ("00", "01"):
        rows.append(TrialRow(trial=trial, config={"lr": 0.1}))
        for i, score in enumerate(scores, 1):
            rows.append(result(trial, i, score if trial == "00" else i / 10))
            if trial == "00" and i == at:
                why = "no_improvement: flat"
                rows.append(ObservedEndRow(trial=trial, iteration=i, reason="health", sentence=why))
        rows.append(EndRow(trial=trial, iteration=len(scores), reason="budget"))
    return [*rows, JobEndRow(reason="done", seconds=1.0)]


def test_the_account_says_what_would_have_been_saved_and_whether_it_was_right(tmp_path):
    rows = observed_rows(flat(10, 0.0, 0.01))
    outcome = Outcome.from_rows(rows)
    text = outcome.observed_text
    assert text.startswith("Observed: 1 of 2 trials would have been ended (1 by health)")
    assert "saving 30 % of the budget" in text and "The best, 01, is not among them." in text
    (said,) = outcome.as_dict()["observed"]
    assert said["trial"] == "00" and said["iterations_saved"] == 6
    ledger = build_ledger(rows).to_pylist()
    assert [row["iterations_observed"] for row in ledger] == [6, 0]
    file = io.StringIO()
    print_outcome(outcome, Console(file=file, width=200), tmp_path)
    printed = file.getvalue()
    assert text in printed and "--no-observe" in printed
    write_report(rows, "", tmp_path / "report.html")
    assert text in (tmp_path / "report.html").read_text()


def test_a_trial_that_rose_afterwards_is_named():
    outcome = Outcome.from_rows(observed_rows([0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0]))
    said = outcome.observed_text
    assert "The best, 00, is among them. Without ASHA: 1 of 1 recovered afterwards (00)." in said
    assert outcome.as_dict()["observed"][0]["rose_afterwards"] is True


def test_nothing_is_said_of_a_job_that_acts():
    assert Outcome.from_rows([job_row(), JobEndRow(reason="done", seconds=1.0)]).observed_text == ""


def test_a_line_says_where_it_would_have_been_ended():
    builder, lines = OutcomeBuilder(), EventLines()
    texts = []
    for row in observed_rows(flat(10, 0.0, 0.01)):
        builder.add(row)
        texts += lines.format(row, builder)
    (line,) = [text for text in texts if "would have been ended" in text]
    assert line.startswith("trial 00") and line.endswith("no_improvement: flat")


def test_a_resumed_run_continues_a_trial_that_a_rung_would_have_ended(tmp_path):
    rows = [job_row(trials=1, iterations=9, observe=True), TrialRow(trial="00", config={})]
    rows += [result("00", 3, 1.0)]
    about = {"rung": 3, "score": 1.0, "cut": 2.0, "rank": 2, "of": 2, "keep": False}
    rows.append(DecisionRow(trial="00", iteration=3, sentence="rung 3", **about))
    rows.append(CheckpointRow(trial="00", iteration=3, path="nowhere"))
    left = find_remaining_work(tmp_path, rows)
    assert [plan.trial for plan in left.plans] == ["00"]
