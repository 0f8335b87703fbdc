"""The ledger of a run: the cost and the savings of each trial, and each decision, as Parquet.

A row of kind ``decision`` is one decision of the scheduler about one trial. Each trial has one more
row, of kind ``end``, or ``open`` while it may still run. Only these rows have costs, so that sums
over a column are right without a filter.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rungwise.run_log.events import Row
from rungwise.run_log.ledger_lines import list_ledger_lines
from rungwise.validation import InputError
from rungwise.whole_file import replace_whole

VERSION = "4"
LOG_BYTES = b"log_bytes"
"""Metadata of a file: the size of the event log that it was built from."""
SCHEMA = pa.schema(
    [
        pa.field("trial", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("iteration", pa.int64(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("iterations_run", pa.int64()),
        pa.field("iterations_not_run", pa.int64()),
        pa.field("iterations_saved", pa.int64()),
        pa.field("iterations_observed", pa.int64()),
        pa.field("env_steps", pa.int64()),
        pa.field("env_steps_budget", pa.int64()),
        pa.field("env_steps_saved", pa.float64()),
        pa.field("seconds", pa.float64()),
        pa.field("seconds_saved", pa.float64()),
        pa.field("cpu_seconds", pa.float64()),
        pa.field("cpu_seconds_saved", pa.float64()),
        pa.field("gpu_seconds", pa.float64()),
        pa.field("gpu_seconds_saved", pa.float64()),
        pa.field("sentence", pa.string(), nullable=False),
    ],
    metadata={
        "rungwise_ledger_version": VERSION,
        "kind": "decision, end, or open (the trial may still run)",
        "reason": "keep, wait or stop for a decision; the end reason for an end",
        "iterations_saved": "not run for good: iterations_not_run, 0 where a resume continues",
        "iterations_observed": "run, but not where the job had not only been observed",
        "env_steps_budget": "of all seeds of the trial, where the job gives its budget in steps",
        "env_steps_saved": "estimated: iterations saved x the trial's own steps per iteration",
        "seconds_saved": "estimated: iterations saved x the trial's own seconds per iteration",
        "cpu_seconds": "seconds x the CPUs that a trial of this job holds",
        "cpu_seconds_saved": "estimated: seconds_saved x the CPUs that a trial of this job holds",
        "gpu_seconds": "seconds x the GPUs that a trial of this job holds",
        "gpu_seconds_saved": "estimated: seconds_saved x the GPUs that a trial of this job holds",
    },
)
"""The columns; a change of their meaning raises the version."""


def write_ledger(rows: Iterable[Row], path: str | Path, log_bytes: int) -> None:
    """Write the ledger of a run, replacing an older one in one step.

    Args:
        rows: of its event log.
        path: of the ledger.
        log_bytes: size of the event log before the rows were read, by which
            :func:`rungwise.run_log.ledger_summary.load_ledger` knows an old ledger.

    Raises:
        InputError: if there is no job row among the rows.
    """
    metadata = {**SCHEMA.metadata, LOG_BYTES: str(log_bytes).encode()}
    table = build_ledger(rows).replace_schema_metadata(metadata)
    with replace_whole(Path(path)) as unfinished:
        pq.write_table(table, unfinished)


def build_ledger(rows: Iterable[Row]) -> pa.Table:
    """Build the ledger of a run as a table.

    Raises:
        InputError: if there is no job row among the rows, or a number that no run can have.
    """
    lines = list_ledger_lines(rows)
    try:
        return pa.Table.from_pylist(lines, schema=SCHEMA)
    except (OverflowError, pa.ArrowException) as error:
        raise InputError(f"its events hold a number that no run can have ({error}).") from error
