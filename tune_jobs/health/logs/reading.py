"""Find the logs at a path and read each in its format."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from envs.validation import InputError, unknown_name_error
from tune_jobs.health.logs.episodes import add_episode_returns, read_monitors
from tune_jobs.health.logs.log import Log
from tune_jobs.health.logs.names import check_rename, match_metrics
from tune_jobs.health.logs.tables import header_of, read_csv_above_damage, read_json_lines
from tune_jobs.health.logs.tensorboard import read_events
from tune_jobs.health.logs.translation import Record, translate_log
from tune_jobs.run_log.event_log import read_event_log
from tune_jobs.run_log.events import ResultRow
from tune_jobs.run_log.outcome import Outcome

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


def read_logs(path: Path, rename: Mapping[str, str] | None = None) -> list[Log]:
    """Read every log at a path; see :func:`read_all`."""
    return read_all([path], rename)


def read_all(paths: Sequence[Path], rename: Mapping[str, str] | None = None) -> list[Log]:
    """Every log at some paths: each a file, a run's directory, or a directory of many runs.

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
    known: set[Path] = set()
    for path in paths:
        found = _places(path, rename)
        for form, files in found:
            # Overlapping paths would otherwise count one run twice, and siblings would seem to
            # agree.
            if files[0].resolve() not in known:
                logs += _read_or_noted(path if len(paths) == 1 else None, form, files, rename)
        known.update(files[0].resolve() for _, files in found)
    # One unreadable log among many must not hide the others, so it is an error only if all are.
    if not any(log.rows for log in logs):
        raise InputError(logs[0].note)
    _check_used(rename, logs)
    return logs


def _places(path: Path, rename: Mapping[str, str]) -> list[tuple[str, list[Path]]]:
    """Yield each log at a path: its format and its files, at least one."""
    if not path.exists():
        raise InputError(f"There is no {path}: give a log file or a directory that has one.")
    try:
        found = list(_find_logs(path, rename))
    except OSError as error:
        raise InputError(_unreadable(path, error)) from None
    if not found:
        raise InputError(f"There is no log in {path}. Looked for: {LOOKED_FOR}.")
    return found


def _find_logs(path: Path, rename: Mapping[str, str]) -> Iterator[tuple[str, list[Path]]]:
    """Yield each log below a path: its format and its files."""
    if path.is_file():
        yield _format_of(path) or _unknown(path), [path]
        return
    for place, inner, names in os.walk(path):
        # In place, as os.walk requires: the order of logs must not depend on the file system.
        inner.sort()
        by_form: dict[str, list[Path]] = {}
        for name in sorted(names):
            form = _format_of(Path(place, name))
            if form in PREFERRED:
                by_form.setdefault(form, []).append(Path(place, name))
        # Any table may be a CSV file; one with a column for the return is taken for a log.
        by_form[CSV] = [p for p in by_form.get(CSV, []) if _has_score(header_of(p), rename)]
        # The formats in one directory describe the same run; reading each would report it
        # repeatedly.
        form = next((form for form in PREFERRED if by_form.get(form)), None)
        if form == RUN:
            inner.clear()  # what Tune wrote below it says the same
        if form is not None:
            files = by_form[form]
            if form == SB3_CSV and len(files) == 1:
                # Monitors have the exact returns that SB3's moving average hides. With several
                # progress files it is unknown to which they belong.
                files += [f for f in by_form.get(MONITOR, []) if _OF_RUN.fullmatch(f.name)]
                yield form, files
            else:
                yield from ((form, files) for files in _runs(form, files))


def _runs(form: str, files: list[Path]) -> list[list[Path]]:
    """Group the files of one format in a directory by run."""
    if form == EVENTS:
        return [files]
    # SB3 numbers the monitors of the parallel environments of one run: 0.monitor.csv,
    # 1.monitor.csv.
    several = [file for file in files if _OF_RUN.fullmatch(file.name)]
    alone = [[file] for file in files if file not in several]
    return [several, *alone] if several else alone


def _format_of(path: Path) -> str | None:
    """Return the format of a file, by its name and for CSV files by their header."""
    name = path.name
    # Other tools use this name as well, so the first line decides.
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
    # Tune, SB3 and others all write a progress.csv: the columns decide.
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
    return any(o.name.startswith("return_mean") for o in match_metrics(header, rename).values())


def _read_or_noted(
    root: Path | None, form: str, files: list[Path], rename: Mapping[str, str]
) -> list[Log]:
    """The logs that some files hold; one that holds only a note if they cannot be read.

    Args:
        root: the path that the logs are named from; None for the working directory.
        form: the format.
        files: the files of one run.
        rename: names that the caller gives.
    """
    try:
        if form == RUN:
            return list(_read_own_run(root, files[0]))
        log = _read(_name(root, form, files), form, files, rename)
    except InputError as error:
        note = str(error)
    except OSError as error:
        note = _unreadable(files[0], error)
    else:
        return [log if log.rows else dataclasses.replace(log, note=_nothing_known(files[0], log))]
    return [Log(_name(root, form, files), form, [], [], note=note)]


def _name(root: Path | None, form: str, files: list[Path]) -> str:
    """Return the name of a log: its file, or its directory where the file's name is generic."""
    named = form in (RUN, EVENTS) or files[0].name in USUAL or len(files) > 1
    if root is None or not root.is_dir():
        return str(files[0]) if root is None else root.name
    place = files[0].parent if named else files[0]
    return (root.name or str(root)) if place == root else str(place.relative_to(root))


def _read(name: str, form: str, files: list[Path], rename: Mapping[str, str]) -> Log:
    damage = ""
    if form == EVENTS:
        records = read_events(files, rename)
    elif form == MONITOR:
        records = read_monitors(files)
    elif form in (RESULTS, JSON_LINES):
        records = read_json_lines(files[0])
    else:
        records, damage = read_csv_above_damage(files[0])
        if damage and not records:
            raise InputError(damage)
        if form == SB3_CSV:
            records = add_episode_returns(_without_evaluations(records), files[1:])
    note = damage and f"{damage} Only the rows above it are judged."
    return translate_log(files[0], name, form, records, rename, note)


def _read_own_run(root: Path | None, file: Path) -> Iterator[Log]:
    """Every trial of a run of ours; its rows are those that the rules saw while it ran."""
    try:
        outcome = Outcome.from_rows(read_event_log(file))
        trials = {
            trial.id: [_to_history_row(row) for row in trial.results] for trial in outcome.trials
        }
    except (TypeError, AttributeError):
        raise InputError(f"{file} is damaged: a value in it is not of its type.") from None
    place = file.parent
    run = "" if root in (place, file) else f"{place.relative_to(root) if root else place}/"
    mode = cast("Literal['min', 'max']", outcome.job.mode or "max")
    score, budget = outcome.job.metric, outcome.job.iterations
    for trial, rows in trials.items():
        yield Log(run + trial, RUN, rows, [], score=score, mode=mode, budget=budget)


def _to_history_row(row: ResultRow) -> dict[str, Any]:
    return row.metrics | {"iteration": row.iteration, "env_steps": row.env_steps}


def _without_evaluations(records: list[Record]) -> list[Record]:
    """SB3 evaluates while it collects, and what it last learnt is then in that line.

    It belongs to the next line of the training itself.
    """
    # On-policy algorithms of SB3 count iterations and off-policy ones episodes; a line of an
    # evaluation has neither.
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


def _unreadable(path: Path, error: OSError) -> str:
    return f"{error.filename or path} cannot be read: {error.strerror}."


def _nothing_known(path: Path, log: Log) -> str:
    if not log.unmapped:
        return f"The log at {path} is empty: the run wrote no iteration."
    likely = log.likely_return
    names = [likely, *(name for name in log.unmapped if name != likely)]
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return (
        f"The log at {path} has {shown}, none of which is known. Say which one is the return with "
        f"--rename '{likely}=return_mean'."
    )


def _check_used(rename: Mapping[str, str], logs: list[Log]) -> None:
    known = {name for log in logs for name in (*log.unmapped, *log.renamed)}
    for name in rename:
        if not any(name in log.renamed for log in logs):
            raise unknown_name_error(
                "column", name, known, "in the log that is none of our metrics yet"
            )
