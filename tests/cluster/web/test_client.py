# pyright: basic, reportArgumentType=false
"""The client of the service."""

from dashboard_app import write
from synthetic_sweep import synthetic_rows

from tune_jobs.run_log.events import (
    CheckpointRow,
    EndRow,
    FindingRow,
    ResultRow,
)


def test_what_is_known_of_a_run_is_what_its_log_says(idle):
    root, client = idle
    rows = synthetic_rows()
    write(root / "sweep", rows)
    told = client.get_job("sweep")
    assert told.job.state == "ended" and told.best == "08"
    assert {t.id: t.end_reason for t in told.trials} == {
        row.trial: row.reason for row in rows if isinstance(row, EndRow)
    }
    found = client.list_findings("sweep")
    assert {f.symptom for f in found} == {r.symptom for r in rows if isinstance(r, FindingRow)}
    curves = {c.trial: c for c in client.get_curves("sweep")}
    last = [r for r in rows if isinstance(r, ResultRow) and r.trial == "09"][-1]
    assert (curves["09"].iterations[-1], curves["09"].values[-1]) == (last.iteration, last.score)
    assert client.list_checkpoints("sweep") == []  # the log names some, and none is there
    kept = next(row for row in rows if isinstance(row, CheckpointRow))
    (root / "sweep" / kept.path).mkdir(parents=True)
    assert client.list_checkpoints("sweep") == [kept]
