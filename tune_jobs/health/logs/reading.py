"""Finds the logs at a path and reads each in its format."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from envs.validation import InputError, unknown_name
from tune_jobs import events
from tune_jobs.health.logs.episodes import read_monitors, with_episodes
from tune_jobs.health.logs.log import Log
from tune_jobs.health.logs.names import check_rename, sources
from tune_jobs.health.logs.tables import header_of, read_csv, read_json_lines
from tune_jobs.health.logs.tensorboard import read_events
from tune_jobs.health.logs.translation import Record, translated
from tune_jobs.outcome import Outcome

LOOKED_FOR = (
    "a run directory of ours (events.jsonl), Ray Tune's result.json and progress.csv, SB3's "
    "progress.csv and *.monitor.csv, TensorBoard's events.out.tfevents.*, and CSV files with a "
    "column for the return"
)
RUN, RESULTS, TUNE_CSV, SB3_CSV, EVENTS, MONITOR, CSV = (
    "Rungwise run",
    "Ray Tune result.json",
    "Ray Tune progress.csv",
    "SB3 progress.csv",
    "TensorBoard",
    "SB3 monitor",
    "CSV",
)
JSON_LINES = "JSON lines"
PREFERRED = (RUN, RESULTS, TUNE_CSV, SB3_CSV, EVENTS, MONITOR, CSV)
"""Of several formats in one directory, which are of the same run, the first of these is read."""
USUAL = ("result.json", "progress.csv", "progress.txt", "monitor.csv")
"""Files that a run has one of: it is called by its directory."""
_OF_RUN = re.compile(r"(\d+\.)?monitor\.csv")
"""SB3's name for the episodes of its one environment, or of each of those that run in parallel."""


def read(path: Path, rename: Mapping[str, str] | None = None) -> list[Log]:
    """Every log at a path: a file, a run's directory, or a directory of many runs.

    Args:
        path: where to look; directories are searched to any depth.
        rename: names of the log, each with the name of our catalogue that it stands for. They go
            before the names that are known anyway.

    Raises:
        InputError: if there is nothing to read, a log is empty or broken, or a renaming is of a
            name that no log has.
    """
    rename = rename or {}
    check_rename(rename)
    if not path.exists():
        raise InputError(f"There is no {path}: give a log file or a directory that has one.")
    try:
        found = list(_found(path, rename))
        logs = [log for form, files in found for log in _read(path, form, files, rename)]
    except OSError as error:
        raise InputError(f"{error.filename or path} cannot be read: {error.strerror}.") from None
    if not logs:
        raise InputError(f"There is no log in {path}. Looked for: {LOOKED_FOR}.")
    if not any(log.rows for log in logs):
        raise InputError(_nothing_known(path, logs))
    _check_used(rename, logs)
    return logs


def _found(path: Path, rename: Mapping[str, str]) -> Iterator[tuple[str, list[Path]]]:
    """Each log below a path: its format and its files."""
    if path.is_file():
        yield _format_of(path) or _unknown(path), [path]
        return
    for place, inner, names in os.walk(path):
        inner.sort()
        by_form: dict[str, list[Path]] = {}
        for name in sorted(names):
            form = _format_of(Path(place, name))
            if form in PREFERRED:
                by_form.setdefault(form, []).append(Path(place, name))
        by_form[CSV] = [p for p in by_form.get(CSV, []) if _has_score(header_of(p), rename)]
        form = next((form for form in PREFERRED if by_form.get(form)), None)
        if form == RUN:
            inner.clear()  # what Tune wrote below it says the same
        if form is not None:
            files = by_form[form]
            if form == SB3_CSV and len(files) == 1:
                files += [f for f in by_form.get(MONITOR, []) if _OF_RUN.fullmatch(f.name)]
                yield form, files
            else:
                yield from ((form, files) for files in _runs(form, files))


def _runs(form: str, files: list[Path]) -> list[list[Path]]:
    """The files of one format in a directory -> those of each run."""
    if form == EVENTS:
        return [files]
    several = [file for file in files if _OF_RUN.fullmatch(file.name)]
    alone = [[file] for file in files if file not in several]
    return [several, *alone] if several else alone


def _format_of(path: Path) -> str | None:
    """What a file is, by its name and for CSV files by their header."""
    name = path.name
    if name == "events.jsonl":
        return RUN if _is_run(path) else JSON_LINES
    if ".tfevents." in name:
        return EVENTS
    if name.endswith("monitor.csv"):
        return MONITOR
    if name.endswith((".json", ".jsonl")):
        return RESULTS if name == "result.json" else JSON_LINES
    if not name.endswith((".csv", ".tsv", "progress.txt")):
        return None
    header = header_of(path)
    if "training_iteration" in header:
        return TUNE_CSV
    return SB3_CSV if "time/total_timesteps" in header else CSV


def _is_run(path: Path) -> bool:
    with path.open("rb") as file:
        line = file.readline()
    try:
        return json.loads(line)["kind"] == "job"
    except (ValueError, LookupError, TypeError):
        return False


def _has_score(header: list[str], rename: Mapping[str, str]) -> bool:
    return any(o.name.startswith("return_mean") for o in sources(header, rename).values())


def _read(root: Path, form: str, files: list[Path], rename: Mapping[str, str]) -> Iterator[Log]:
    if form == RUN:
        yield from _own(root, files[0])
        return
    named = files[0].name in USUAL or len(files) > 1 or form == EVENTS
    place = files[0].parent if named and root.is_dir() else files[0]
    name = root.name if place == root else str(place.relative_to(root))
    if form == EVENTS:
        records = read_events(files, rename)
    elif form == MONITOR:
        records = read_monitors(files)
    else:
        read_lines = read_json_lines if form in (RESULTS, JSON_LINES) else read_csv
        records = read_lines(files[0])
        if form == SB3_CSV:
            records = with_episodes(_without_evaluations(records), files[1:])
    yield translated(files[0], name or str(root), form, records, rename)


def _own(root: Path, file: Path) -> Iterator[Log]:
    """Every trial of a run of ours; its rows are those that the rules saw while it ran."""
    try:
        outcome = Outcome.of(events.read(file))
        trials = {trial.id: [_seen(row) for row in trial.results] for trial in outcome.trials}
    except (TypeError, AttributeError):
        raise InputError(f"{file} is damaged: a value in it is not of its type.") from None
    place = file.parent
    run = "" if root in (place, file) else f"{place.relative_to(root)}/"
    mode = cast("Literal['min', 'max']", outcome.job.mode or "max")
    score, budget = outcome.job.metric, outcome.job.iterations
    for trial, rows in trials.items():
        yield Log(run + trial, RUN, rows, [], score=score, mode=mode, budget=budget)


def _seen(row: events.ResultRow) -> dict[str, Any]:
    return row.metrics | {"iteration": row.iteration, "env_steps": row.env_steps}


def _without_evaluations(records: list[Record]) -> list[Record]:
    """SB3 evaluates while it collects, and what it last learnt is then in that line.

    It belongs to the next line of the training itself.
    """
    clock = next(
        (c for c in ("time/iterations", "time/episodes") if any(c in r.values for r in records)),
        None,
    )
    kept: list[Record] = []
    before: dict[str, Any] = {}
    for record in records:
        before |= record.values
        if clock is None or clock in record.values:
            kept.append(dataclasses.replace(record, values=before))
            before = {}
    return kept


def _unknown(path: Path) -> str:
    raise InputError(f"{path} is none of the files that can be read: {LOOKED_FOR}.")


def _nothing_known(path: Path, logs: list[Log]) -> str:
    names = sorted({name for log in logs for name in log.unmapped})
    if not names:
        return f"The log at {path} is empty: the run wrote no iteration."
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return (
        f"The log at {path} has {shown}, none of which is known. Say which one is the return with "
        f"--rename '{names[0]}=return_mean'."
    )


def _check_used(rename: Mapping[str, str], logs: list[Log]) -> None:
    known = {name for log in logs for name in (*log.unmapped, *log.renamed)}
    for name in rename:
        if not any(name in log.renamed for log in logs):
            raise unknown_name("column", name, known, "in the log that is none of our metrics yet")
