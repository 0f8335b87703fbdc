"""Read the logs at some paths and translate them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from rungwise.formatting import format_names
from rungwise.logs.discovery import (
    LOOKED_FOR,
    OWN_RUN,
    LeftOut,
    OwnRun,
    Unreadable,
    describe_os_error,
    find_logs,
)
from rungwise.logs.formats import LogReader
from rungwise.logs.likely_return import advise_rename
from rungwise.logs.log import Log
from rungwise.logs.log_record import Record
from rungwise.logs.names.name_matching import check_rename
from rungwise.logs.stacked_runs import split_runs
from rungwise.logs.translation import translate_log
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.outcome import Outcome
from rungwise.validation import InputError, unknown_name_error

USUAL = (
    *("result.json", "progress.csv", "progress.txt", "monitor.csv", "evaluations.npz"),
    "metrics.json",
)
"""Files that a run has one of: it is called by its directory."""
LogSource = LogReader | OwnRun | Unreadable


def read_logs(path: Path, rename: Mapping[str, str] | None = None) -> list[Log]:
    """Read every log at a path; see :func:`read_all`."""
    return read_all([path], rename)


def read_all(paths: Sequence[Path], rename: Mapping[str, str] | None = None) -> list[Log]:
    """Read every log at some paths: each a file, a run's directory, or a directory of many runs.

    A log that cannot be read, or of which nothing is known, is one without rows, whose note says
    why. Of several paths, a log is named as it is found from the working directory, and one that
    is found twice is read once.

    Args:
        paths: where to look; directories are searched to any depth.
        rename: names of the log, each with the name of our catalogue that it stands for. They go
            before the names that are known anyway.

    Raises:
        InputError: if there is nothing to read at one of the paths, no log can be read, or a
            renaming is of a name that no log has.
    """
    rename = rename or {}
    check_rename(rename)
    logs: list[Log] = []
    files_read: set[Path] = set()
    for path in paths:
        sources, _ = find_sources(path, rename)
        for source in sources:
            # Overlapping paths would otherwise count one run twice, and siblings would seem to
            # agree.
            if source.files[0].resolve() not in files_read:
                logs += _read_source(path if len(paths) == 1 else None, source, rename)
        files_read.update(source.files[0].resolve() for source in sources)
    # One unreadable log among many must not hide the others, so it is an error only if all are.
    if not any(log.rows for log in logs):
        raise InputError(logs[0].note)
    _check_used(rename, logs)
    return logs


def find_sources(path: Path, rename: Mapping[str, str]) -> tuple[list[LogSource], list[LeftOut]]:
    """Return the logs at a path, at least one, and what looks like a log and is left out.

    Raises:
        InputError: there is nothing to read.
    """
    if not path.exists():
        raise InputError(f"There is no {path}: give a log file or a directory that has one.")
    try:
        sources = list(find_logs(path, rename))
    except OSError as error:
        raise InputError(describe_os_error(path, error)) from None
    logs = [source for source in sources if not isinstance(source, LeftOut)]
    if not logs:
        raise InputError(f"There is no log in {path}. Looked for: {LOOKED_FOR}.")
    return logs, [source for source in sources if isinstance(source, LeftOut)]


def _read_source(root: Path | None, source: LogSource, rename: Mapping[str, str]) -> list[Log]:
    """Return the logs of a source; one that holds only a note if it cannot be read.

    Args:
        root: the path that the logs are named from; None for the working directory.
        source: where the logs are.
        rename: names that the caller gives.
    """
    name = name_source(root, source)
    if isinstance(source, Unreadable):
        return [Log(name, source.name, [], [], note=source.note)]
    try:
        if isinstance(source, OwnRun):
            inner = "" if root in (source.file, source.file.parent) else f"{name}/"
            return list(read_own_run(source.file, inner))
        logs = _read(name, source, rename)
    except InputError as error:
        note = str(error)
    except OSError as error:
        note = describe_os_error(source.files[0], error)
    else:
        file = source.files[0]
        return [
            log if log.rows else dataclasses.replace(log, note=_describe_empty(file, log))
            for log in logs
        ]
    return [Log(name, source.name, [], [], note=note)]


def name_source(root: Path | None, source: LogSource) -> str:
    """Return the name of a log: its file, or its directory where the file's name is generic."""
    files = source.files
    if isinstance(source, OwnRun) and root is None:
        return str(source.file.parent)
    generic = isinstance(source, OwnRun) or (isinstance(source, LogReader) and source.is_directory)
    named = generic or files[0].name in USUAL or len(files) > 1
    if root is None or not root.is_dir():
        return str(files[0]) if root is None else root.name
    source_path = files[0].parent if named else files[0]
    if isinstance(source, LogReader) and source.is_directory and source.directory is not None:
        source_path = source.directory
    name = (root.name or str(root)) if source_path == root else str(source_path.relative_to(root))
    return f"{name}/{source.label}" if isinstance(source, LogReader) and source.label else name


def _read(name: str, reader: LogReader, rename: Mapping[str, str]) -> list[Log]:
    runs = split_runs(name, read_rest(reader))
    cut = reader.damage and f"{reader.damage} Only the rows above it are judged."
    note = " ".join(filter(None, (reader.note, reader.left_out, cut)))
    return [
        translate_log(reader.files[0], run, reader.name, records, rename, note)
        for run, records in runs.items()
    ]


def read_rest(reader: LogReader, *, has_records: bool = False) -> list[Record]:
    """Return all records of a finished log that were not read yet.

    Args:
        reader: the log.
        has_records: whether some were.

    Raises:
        InputError: the log is damaged, so that nothing above the damage can be believed.
        OSError: a file cannot be read.
    """
    records = reader.read(final=True)
    has_records = has_records or bool(records)
    if reader.damage and not (has_records and reader.readable_above_damage):
        raise InputError(reader.damage)
    return records


def read_own_run(file: Path, prefix: str) -> Iterator[Log]:
    """Yield every trial of a run of ours; its rows are those that the rules saw while it ran.

    Raises:
        InputError: a value in it is not of its type.
    """
    try:
        outcome = Outcome.from_rows(read_event_log(file))
        trials = {
            trial.id: [
                row.metrics | {"iteration": row.iteration, "env_steps": row.env_steps}
                for row in trial.results
            ]
            for trial in outcome.trials
        }
    except (TypeError, AttributeError):
        raise InputError(f"{file} is damaged: a value in it is not of its type.") from None
    mode = cast("Literal['min', 'max']", outcome.job.mode or "max")
    score, budget = outcome.job.metric, outcome.job.iterations
    settings = _read_settings(file.parent / "job.yaml")
    for trial in outcome.trials:
        searched = {name: value for name, value in trial.config.items() if name in settings}
        yield Log(
            *(prefix + trial.id, OWN_RUN, trials[trial.id], []),
            score=score,
            mode=mode,
            budget=budget,
            env=outcome.job.env,
            settings=settings | searched,
        )


def _read_settings(file: Path) -> dict[str, Any]:
    """Return all settings that a job file has of an algorithm of ours; of another one none."""
    try:
        job = yaml.safe_load(file.read_text())
        is_own_algorithm = "/" not in job["algo"] and not job.get("command")
        return dict(job["settings"]) if is_own_algorithm else {}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError):
        return {}  # without it the rules judge a run of ours as any other log


def _describe_empty(path: Path, log: Log) -> str:
    if not log.unmapped:
        return f"The log at {path} is empty: the run wrote no iteration."
    return (
        f"The log at {path} has {format_names(log.unmapped)}, none of which is known. "
        f"{advise_rename(log.likely_return)}"
    )


def _check_used(rename: Mapping[str, str], logs: list[Log]) -> None:
    columns = {name for log in logs for name in (*log.unmapped, *log.renamed)}
    for name in rename:
        if not any(name in log.renamed for log in logs):
            raise unknown_name_error(
                "column", name, columns, "in the log that is none of our metrics yet"
            )
