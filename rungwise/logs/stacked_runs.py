"""Tables that hold several runs, such as those of all seeds below each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from rungwise.health.metric_table import as_number
from rungwise.logs.log_record import Record, list_chart_columns, list_names
from rungwise.logs.names.name_matching import fold, match_metrics
from rungwise.logs.row_order import join_resumed, order_records

COLUMNS = ("seed", "run", "runid", "runname", "trial", "trialid")
"""Columns, folded, that may name the run of a row."""
ENVS = [w + part for w in ("env", "environment", "task", "game") for part in ("", "id", "name")]
"""Columns, folded, that may name the environment of a row."""
NAMING = ("algo", "algorithm", *ENVS, "agent", "policy")
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
    records = order_records(_stack_charts(records))
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


def _stack_charts(records: Sequence[Record]) -> Sequence[Record]:
    """Return records of several runs in one row, as W&B exports them, below each other."""
    if not list_chart_columns(records[0].values if records else {}):
        return records
    columns = list_chart_columns(list_names(records))
    stacked: list[Record] = []
    for record in records:
        shared = {n: v for n, v in record.values.items() if " - " not in n}
        runs: dict[str, dict[str, object]] = {}
        # A cell is empty where the run has no value at the step of another one.
        for name, (run, metric) in columns.items():
            if name in record.values:
                runs.setdefault(run, shared | {"run": run})[metric] = record.values[name]
        stacked += [Record(record.location, values) for values in runs.values()]
    return stacked


def _list_choices(records: Sequence[Record]) -> Iterator[tuple[str, ...]]:
    """Yield the columns of a table that may together name a run, the fewest first."""
    values = records[0].values if records else {}
    folded = {fold(column): column for column in reversed(list(values))}
    naming = [folded[n] for n in NAMING if n in folded and _may_name(n, values[folded[n]])]
    steps = [n for n, metric in match_metrics(values, {}).items() if metric.name == "env_steps"]
    # One run that changes its task counts its steps on, though its epochs may begin anew.
    if any(_rises(records, name) for name in steps):
        naming = []
    candidates = [*(folded[name] for name in COLUMNS if name in folded), *naming]
    for number in range(1, MOST_COLUMNS + 1):
        yield from combinations(candidates, number)


def names_run(column: str) -> bool:
    """Return whether a column names the run of a row, or has no name, and is no metric."""
    return not column.strip() or fold(column) in (*COLUMNS, "unnamed0")


def find_env(records: Sequence[Record]) -> str:
    """Return the environment that a column names in all rows of a run; empty where none does."""
    named = {fold(column): column for column in (records[0].values if records else ())}
    for name in (name for name in ENVS if name in named):
        values = {str(_read_value(record, named[name])) for record in records}
        if len(values) == 1 and _may_name(name, records[0].values[named[name]]):
            return values.pop()
    return ""


def _may_name(folded: str, value: object) -> bool:
    """Return whether a value names an environment: a number may be the index of a copy."""
    return isinstance(value, str) or folded.startswith(("task", "game"))


def _read_value(record: Record, column: str) -> object:
    value = record.values.get(column, "")
    # A CSV has no integers.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rises(records: Sequence[Record], name: str) -> bool:
    values = np.array([as_number(record.values.get(name)) for record in records])
    return bool((np.diff(values) > 0).all())  # not where one is missing, which is NaN
