"""The losses of each node of a causal model over training, as a Parquet table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tune_jobs.run_log.events import Row
from tune_jobs.run_log.outcome import Outcome

METRIC = "node_losses"
"""Metric of an iteration: the loss of each node at the end of its episodes."""
SCHEMA = pa.schema(
    [
        pa.field("trial", pa.string(), nullable=False),
        pa.field("iteration", pa.int64(), nullable=False),
        pa.field("env_steps", pa.int64(), nullable=False),
        pa.field("node", pa.string(), nullable=False),
        pa.field("loss", pa.float64(), nullable=False),
    ],
    metadata={"loss": "mean excess risk at the end of the iteration's episodes"},
)


def write_node_losses(rows: Iterable[Row], path: Path) -> None:
    """Write a row for each trial, iteration and node; no file for a run without node losses."""
    outcome = Outcome.from_rows(rows)
    lines = [
        {
            "trial": trial.id,
            "iteration": row.iteration,
            "env_steps": row.env_steps,
            "node": node,
            "loss": loss,
        }
        for trial in outcome.trials
        for row in trial.results
        for node, loss in zip(outcome.job.choice_names, row.metrics.get(METRIC, ()), strict=False)
    ]
    if lines:
        pq.write_table(pa.Table.from_pylist(lines, schema=SCHEMA), path)
