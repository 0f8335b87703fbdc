"""Sum the costs and savings of several runs by the end reason of their trials."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.optional_imports import is_installed
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.ledger_lines import list_ledger_lines
from rungwise.run_log.log_file import get_log_size
from rungwise.validation import InputError, InputWarning

if TYPE_CHECKING:
    import pyarrow as pa

RUN = ("iterations_run", "env_steps", "seconds", "cpu_seconds", "gpu_seconds")
SAVED = (
    "iterations_saved",
    "env_steps_saved",
    "seconds_saved",
    "cpu_seconds_saved",
    "gpu_seconds_saved",
)
"""Columns of what was saved, in the order of :data:`RUN`."""
SUMMED = (*RUN, *SAVED, "iterations_open", "iterations_observed")


def summarise_spending(places: Sequence[Path]) -> dict[str, Any]:
    """Sum over all runs in and below these folders.

    Returns:
        ``runs`` (their directories), ``total`` and ``by_reason``: of each the number of ``trials``,
        the columns of :data:`RUN` and :data:`SAVED`, ``iterations_open``, which a resume would
        still run, and ``iterations_observed``, which jobs that only observed would not have run.
        A trial that may still run has the reason ``open``. ``left_out`` has the runs that cannot be
        read, each with the reason.

    Raises:
        InputError: a folder has no run, or none that can be read.
    """
    runs, left_out = find_runs(places), dict[str, str]()
    total = dict.fromkeys(("trials", *SUMMED), 0.0)
    by_reason: dict[str, dict[str, float]] = {}
    for run in runs:
        try:
            lines = _read_lines(run)
        # One damaged run must not cost the sum of all others. OverflowError: a number that no float
        # can hold.
        except (InputError, OverflowError) as error:
            left_out[str(run)] = str(error)
            warnings.warn(f"{run} is left out: {error}", InputWarning, stacklevel=2)
            continue
        for row in lines:
            # Decisions have no costs; counting them would count their trials twice.
            if row["kind"] == "decision":
                continue
            iterations_open = row["iterations_not_run"] - row["iterations_saved"]
            row |= {"trials": 1, "iterations_open": iterations_open}
            of_reason = by_reason.setdefault(row["reason"] or "open", dict.fromkeys(total, 0.0))
            for name in total:
                total[name] += row[name] or 0
                of_reason[name] += row[name] or 0
    most = sorted(by_reason.items(), key=lambda item: -item[1]["iterations_run"])
    if len(left_out) == len(runs):
        raise InputError(f"There is no run that can be read: {', '.join(left_out)}.")
    summed = [str(run) for run in runs if str(run) not in left_out]
    return {"runs": summed, "left_out": left_out, "total": total, "by_reason": dict(most)}


def find_runs(places: Iterable[Path]) -> list[Path]:
    """Find the run directories in and below these folders, each once.

    Raises:
        InputError: a folder has no run.
    """
    # Resolved paths: folders may overlap or be reached through a link, and costs add up.
    by_path: dict[Path, Path] = {}
    for folder in places:
        runs = sorted(path.parent for path in folder.rglob("events.jsonl"))
        if not runs:
            raise InputError(
                f"There is no run in or below {folder}: a run directory has an events.jsonl. Runs "
                "are made in runs/ unless --out says otherwise; give their directories."
            )
        by_path |= {run.resolve(): run for run in runs}
    return list(by_path.values())


def _read_lines(run: Path) -> list[dict[str, Any]]:
    """Read the lines of a run's ledger; from its event log where PyArrow is not installed."""
    if is_installed("pyarrow"):
        return load_ledger(run).to_pylist()
    return list_ledger_lines(read_event_log(run / "events.jsonl"))


def load_ledger(run: Path) -> pa.Table:
    """Read the ledger of a run; build it from the event log where the file is old or damaged.

    Raises:
        InputError: the event log is not that of a run.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from rungwise.run_log.ledger import LOG_BYTES, SCHEMA, VERSION, build_ledger

    path, events = run / "ledger.parquet", run / "events.jsonl"
    if path.is_file():
        # A log only grows. Times say nothing after a copy, a fetch from S3 or a clock step.
        log_bytes = str(get_log_size(events)).encode()
        try:
            metadata = pq.read_schema(path).metadata or {}
            is_of_log = metadata.get(LOG_BYTES) == log_bytes
            if is_of_log and metadata.get(b"rungwise_ledger_version") == VERSION.encode():
                return pq.read_table(path).cast(SCHEMA)
        except (pa.ArrowException, OSError, ValueError) as error:
            why = " ".join(str(error).split()).rstrip(".")
            warnings.warn(
                f"{path} is damaged; its rows are rebuilt from {events.name} ({why}).",
                InputWarning,
                stacklevel=2,
            )
    return build_ledger(read_event_log(events))
