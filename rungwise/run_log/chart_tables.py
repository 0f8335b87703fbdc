"""Parquet tables of the metrics that an environment has tabulated (``ReportChart.table``)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rungwise.report_chart import ReportChart
from rungwise.run_log.events import Row
from rungwise.run_log.outcome import Outcome

SCHEMA = pa.schema(
    [
        pa.field("trial", pa.string(), nullable=False),
        pa.field("iteration", pa.int64(), nullable=False),
        pa.field("env_steps", pa.int64(), nullable=False),
        pa.field("node", pa.string(), nullable=False),
        pa.field("loss", pa.float64(), nullable=False),
    ],
    metadata={"loss": "mean at the end of the iteration's episodes"},
)


def write_chart_tables(rows: Iterable[Row], directory: Path) -> None:
    """Write a table of each chart that names one: a row for each trial, iteration and choice.

    A metric without values has no file.
    """
    outcome = Outcome.from_rows(rows)
    for chart in map(ReportChart.from_dict, outcome.job.charts):
        lines = [
            {
                "trial": trial.id,
                "iteration": row.iteration,
                "env_steps": row.env_steps,
                "node": choice,
                "loss": value,
            }
            for trial in outcome.trials
            if chart.table
            for row in trial.results
            for metric in chart.curves
            for choice, value in zip(
                outcome.job.choice_names, row.metrics.get(metric, ()), strict=False
            )
        ]
        if lines:
            table = pa.Table.from_pylist(lines, schema=SCHEMA)
            pq.write_table(table, directory / f"{chart.table}.parquet")
