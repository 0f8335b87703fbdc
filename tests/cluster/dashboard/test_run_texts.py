# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The words of the page about a run."""

from synthetic_sweep import end, finding, job_row, result, synthetic_rows

from cluster.dashboard import run_texts
from rungwise.run_log.events import DecisionRow, FindingRow, JobEndRow, TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.shared_sections import list_cards


def test_every_finding_and_end_is_told_in_words_and_each_once():
    rows = synthetic_rows()
    told = run_texts.list_events(rows)
    kinds = ("finding", "end")
    assert [t["kind"] for t in told if t["kind"] in kinds] == [
        row.kind for row in rows if row.kind in kinds
    ]
    # The end of a trial says what the decision against it said.
    kept = [row for row in rows if isinstance(row, DecisionRow) and row.keep]
    assert len([t for t in told if t["kind"] == "decision"]) == len(kept)
    found = next(t for t in told if t["kind"] == "finding")
    assert found["text"].startswith("KL 14.2 at iteration 2") and found["remedy"]


def test_a_withdrawn_finding_has_no_remedy():
    (event,) = run_texts.list_events([finding("00", withdrawn=7)])
    assert "withdrawn at iteration 7" in event["title"] and not event["remedy"]
    assert isinstance(finding("00"), FindingRow)


def test_what_can_be_done_follows_from_what_runs():
    rows = [job_row(trials=2), TrialRow(trial="00", config={}), TrialRow(trial="01", config={})]
    rows += [result("00", 3, 0.5), result("01", 3, 0.4), end("01", 3, "stopped", "by hand")]
    running = Outcome.from_rows(rows)
    ended = Outcome.from_rows([*rows, JobEndRow(reason="interrupted", seconds=1.0)])
    both = ["00", "01"]
    assert run_texts.list_actions(running, [], False) == [("Stop this job", "")]
    assert run_texts.list_actions(running, both, False)[1:] == [("Stop trial 00", "00")]
    labels = [label for label, _ in run_texts.list_actions(ended, both, True)]
    assert labels == ["Resume this job", "Resume trial 01"]
    assert run_texts.list_actions(ended, both, False) == []


def test_a_run_that_has_just_begun_can_be_looked_at(tmp_path):
    outcome = Outcome.from_rows([job_row(env="envs:<b>")])
    assert list_cards(outcome)[0].value == "-"
    said = run_texts.describe_run(outcome, tmp_path)
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
