# pyright: basic, reportOptionalMemberAccess=false
"""The events of a run in words."""

from synthetic_sweep import finding, synthetic_rows

from cluster.pages.events_tab import list_events
from rungwise.run_log.events import DecisionRow, FindingRow


def test_every_finding_and_end_is_told_in_words_and_each_once():
    rows = synthetic_rows()
    told = list_events(rows)
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
    (event,) = list_events([finding("00", withdrawn=7)])
    assert "withdrawn at iteration 7" in event["title"] and not event["remedy"]
    assert isinstance(finding("00"), FindingRow)
