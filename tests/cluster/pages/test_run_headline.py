# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The top of the page of a run: its state, its cards, and what can be done with it."""

from synthetic_sweep import end, job_row, result

from cluster.pages.run_page import describe_run, list_actions
from rungwise.run_log.events import JobEndRow, TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.shared_sections import list_cards


def test_what_can_be_done_follows_from_what_runs():
    rows = [job_row(trials=2), TrialRow(trial="00", config={}), TrialRow(trial="01", config={})]
    rows += [result("00", 3, 0.5), result("01", 3, 0.4), end("01", 3, "stopped", "by hand")]
    running = Outcome.from_rows(rows)
    ended = Outcome.from_rows([*rows, JobEndRow(reason="interrupted", seconds=1.0)])
    both = ["00", "01"]
    assert list_actions(running, [], False) == [("Stop this job", "")]
    assert list_actions(running, both, False)[1:] == [("Stop trial 00", "00")]
    labels = [label for label, _ in list_actions(ended, both, True)]
    assert labels == ["Resume this job", "Resume trial 01"]
    assert list_actions(ended, both, False) == []


def test_a_run_that_has_just_begun_can_be_looked_at(tmp_path):
    outcome = Outcome.from_rows([job_row(env="envs:<b>")])
    assert list_cards(outcome)[0].value == "-"
    said = describe_run(outcome, tmp_path)
    assert "&lt;b&gt;" in said and "<b>" not in said


def test_a_rung_that_does_not_predict_the_next_is_a_risk_beside_what_was_saved():
    def read_note(order):
        rows = [job_row(trials=16, iterations=8, scheduler={"kind": "asha", "rungs": [2, 4]})]
        for place in range(16):
            scores = {2: place, 4: order * place % 16, 8: place}
            rows += [result(f"{place:02d}", at, float(score)) for at, score in scores.items()]
        cards = list_cards(Outcome.from_rows(rows))
        return next(card.note for card in cards if card.name == "compute saved")

    assert "early stopping was risky here" in read_note(7)
    assert "risky" not in read_note(1)
