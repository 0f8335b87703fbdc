"""Tables that hold several runs, such as those of all seeds below each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tune_jobs.foreign_logs.log_record import Record
from tune_jobs.health.metric_table import as_number

COLUMNS = ("seed", "run", "run_id", "run_name", "trial", "trial_id")
"""Columns that may name the run of a row."""
SHORTEST = 5
"""Rows of a run at least: the seed of an episode names none."""


def split_runs(name: str, records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records of each run of a table, by the run's name; mostly it is one.

    A column names runs where another one rises from row to row within every run, but not over the
    whole table: it is the time, and begins anew. Judged as one run they would collapse again and
    again.
    """
    known = records[0].values if records else {}
    for column in filter(known.__contains__, COLUMNS):
        runs: dict[str, list[Record]] = {}
        for record in records:
            value = record.values.get(column, "")
            if isinstance(value, float) and value.is_integer():  # of a CSV, which has no integers
                value = int(value)
            runs.setdefault(f"{name}/{column} {value}", []).append(record)
        if len(runs) > 1 and min(map(len, runs.values())) >= SHORTEST:
            for time in known:
                if all(_rises(run, time) for run in runs.values()) and not _rises(records, time):
                    return runs
    return {name: list(records)}


def _rises(records: Sequence[Record], name: str) -> bool:
    values = np.array([as_number(record.values.get(name)) for record in records])
    return bool((np.diff(values) > 0).all())  # not where one is missing, which is NaN
