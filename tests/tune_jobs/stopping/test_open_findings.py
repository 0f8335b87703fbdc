"""Open findings: reported and not withdrawn."""

from dataclasses import replace

from health_runs import make_rows, rising

from tune_jobs.health import Finding, History
from tune_jobs.run_log.events import FindingRow
from tune_jobs.stopping.sweep_health import OpenFindings

SYMPTOM = "gradients_always_clipped"
ROW = FindingRow(
    trial="00", iteration=9, symptom=SYMPTOM, severity="warn", since=3, evidence="", remedy=""
)
WARNING = Finding(SYMPTOM, "warn", 3, "")


def test_a_finding_is_open_until_it_is_withdrawn():
    findings = OpenFindings()
    assert not findings.holds("00", WARNING)
    findings.take(ROW)
    assert findings.holds("00", WARNING)
    assert not findings.holds("01", WARNING)
    assert not findings.holds("00", replace(WARNING, severity="stop")), "it has become worse"
    findings.take(replace(ROW, withdrawn=12))
    assert not findings.holds("00", WARNING)


def test_what_the_history_disproves_is_withdrawn_at_its_end():
    findings = OpenFindings()
    findings.take(ROW)
    learnt = History(make_rows(40, score=rising(40), grad_clip_fraction=0.0, episodes=20), 40)
    (row,) = findings.withdrawals("00", learnt)
    assert (row.symptom, row.withdrawn, row.iteration) == (SYMPTOM, 40, 9)
    assert findings.withdrawals("01", learnt) == []
