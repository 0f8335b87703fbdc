# pyright: basic, reportAttributeAccessIssue=false
"""The table of what runs spent and saved."""

import io

from rich.console import Console
from synthetic_sweep import end, job_row, result

from cluster.commands.ledger import Ledger
from rungwise.run_log.event_log import EventLog
from rungwise.run_log.ledger import write_ledger


def test_the_ledger_sums_by_end_reason_and_gives_the_saving(tmp_path):
    rows = [job_row(trials=2, iterations=10)]
    for trial, ran, reason in (("00", 10, "budget"), ("01", 5, "asha")):
        rows += [result(trial, ran, 0.5, env_steps=100 * ran), end(trial, ran, reason)]
    log = EventLog(tmp_path / "events.jsonl")
    for row in rows:
        log.append(row)
    write_ledger(rows, tmp_path / "ledger.parquet", log.path.stat().st_size)
    console = Console(file=io.StringIO(), width=120)
    answer = Ledger(runs=(tmp_path,))(console)
    text = console.file.getvalue()
    assert answer["total"]["iterations_run"] == 15 and answer["total"]["iterations_saved"] == 5
    assert "Saved: 25 % of 20 iterations. Open: 0 iterations." in text
    lines = [line.split() for line in text.splitlines()]
    assert ["ASHA", "1", "5", "500"] in [line[:4] for line in lines]
    assert ["full", "budget", "1", "10", "1,000"] in [line[:5] for line in lines]
