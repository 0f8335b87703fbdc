"""Tables that hold several runs, such as those of all seeds below each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from tune_jobs.foreign_logs.log_record import Record
from tune_jobs.foreign_logs.names.name_matching import match_metrics
from tune_jobs.foreign_logs.row_order import join_resumed, order_records
from tune_jobs.health.metric_table import as_number

COLUMNS = ("seed", "run", "run_id", "run_name", "trial", "trial_id")
"""Columns that may name the run of a row."""
NAMING = ("algo", "algorithm", "env", "env_id", "task", "agent", "policy")
"""Columns that may do so with words: their numbers may be indices of parallel environments."""
MOST_COLUMNS = 3
"""Columns that together name a run, such as those of an algorithm, an environment and a seed."""
SHORTEST = 5
"""Rows of a run at least: the seed of an episode names none."""


def split_runs(name: str, records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records of each run of a table, by the run's name, the oldest first.

    Columns name runs where another one rises from row to row within every run, but not over the
    whole table: it is the time, and begins anew. Judged as one run they would collapse again and
    again. Of several choices the one of the fewest columns is taken.
    """
    records = order_records(records)
    for columns in _list_choices(records):
        runs: dict[str, list[Record]] = {}
        for record in records:
            values = ", ".join(f"{column} {_read_value(record, column)}" for column in columns)
            runs.setdefault(f"{name}/{values}", []).append(record)
        if len(runs) > 1 and min(map(len, runs.values())) >= SHORTEST:
            for time in records[0].values:
                if all(_rises(run, time) for run in runs.values()) and not _rises(records, time):
                    return runs
    return {name: join_resumed(records)}


def _list_choices(records: Sequence[Record]) -> Iterator[tuple[str, ...]]:
    """Yield the columns of a table that may together name a run, the fewest first."""
    known = records[0].values if records else {}
    naming = [column for column in NAMING if isinstance(known.get(column), str)]
    steps = [
        theirs for theirs, ours in match_metrics(known, {}).items() if ours.name == "env_steps"
    ]
    # One run that changes its task counts its steps on, though its epochs may begin anew.
    if any(_rises(records, name) for name in steps):
        naming = []
    candidates = [column for column in (*COLUMNS, *naming) if column in known]
    for number in range(1, MOST_COLUMNS + 1):
        yield from combinations(candidates, number)


def _read_value(record: Record, column: str) -> object:
    value = record.values.get(column, "")
    # Of a CSV, which has no integers.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rises(records: Sequence[Record], name: str) -> bool:
    values = np.array([as_number(record.values.get(name)) for record in records])
    return bool((np.diff(values) > 0).all())  # not where one is missing, which is NaN
