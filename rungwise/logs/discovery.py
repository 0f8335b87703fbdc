"""Find the logs at a path: which files are of one run, and in which format."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rungwise.formatting import format_names
from rungwise.logs.formats import FORMATS, LogReader
from rungwise.logs.formats.delimited import DelimitedReader
from rungwise.logs.likely_return import is_return
from rungwise.logs.log_record import parse_json
from rungwise.logs.names.name_matching import match_metrics
from rungwise.run_log.log_file import open_log
from rungwise.validation import InputError

LOOKED_FOR = (
    "a run directory of ours (events.jsonl), Ray Tune's result.json and progress.csv, SB3's "
    "progress.csv, *.monitor.csv and evaluations.npz, TensorBoard's events.out.tfevents.*, "
    "trainer_state.json, folders of TorchRL, d3rlpy, Sacred, W&B and MLflow, and CSV files, JSON "
    "and console output with a column for the return"
)
OWN_RUN = "Rungwise run"
SMALL = 20_000
"""Bytes of a log that may be empty but for its header."""
LEARNING = {"policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "explained_variance"}
"""Metrics of an update of a policy: a table with one of them is no data of another kind."""


@dataclass(frozen=True)
class FoundFile:
    """A file that no reader reads."""

    file: Path

    @property
    def files(self) -> list[Path]:
        """The file."""
        return [self.file]


@dataclass(frozen=True)
class OwnRun(FoundFile):
    """The event log of a run of Rungwise, which has all its trials."""

    name: str = OWN_RUN


@dataclass(frozen=True)
class Unreadable(FoundFile):
    """A file that cannot be opened, of which it is unknown whether it is a log."""

    note: str
    name: str = "unreadable"


@dataclass(frozen=True)
class LeftOut(FoundFile):
    """A file that looks like a log and is not read."""

    why: str
    form: type[LogReader]


Source = LogReader | OwnRun | Unreadable | LeftOut
"""A log at a path, or a file that looks like one."""


def find_readers(path: Path, rename: Mapping[str, str] | None = None) -> list[LogReader]:
    """Open every log of another tool at a path; see :func:`find_logs`."""
    return [log for log in find_logs(path, rename or {}) if isinstance(log, LogReader)]


def find_logs(path: Path, rename: Mapping[str, str]) -> Iterator[Source]:
    """Yield each log at a path: a file, or a directory, which is searched to any depth.

    In a directory, files that look like a log and are left out are yielded, too. Where nothing else
    is there, they are logs: a directory never says less than its file.

    Raises:
        InputError: if the path is a file in no known format.
        OSError: if it is a file that cannot be opened.
    """
    if path.is_file():
        if _is_own_run(path):
            yield OwnRun(path)
            return
        form = _find_format(path)
        if form is None:
            raise InputError(f"{path} is none of the files that can be read: {LOOKED_FOR}.")
        yield form([path], rename)
        return
    sources: list[Source] = []
    for folder, subfolders, names in os.walk(path):
        # In place, as os.walk requires: the order of logs must not depend on the file system.
        subfolders.sort()
        files = [Path(folder, name) for name in sorted(names)]
        if (events := Path(folder, "events.jsonl")) in files and _is_own_run(events):
            subfolders.clear()  # what Tune wrote below it says the same
            sources.append(OwnRun(events))
        else:
            sources += find_in_directory(Path(folder), files, rename)
    yield from sources
    left_out = [source for source in sources if isinstance(source, LeftOut)]
    if len(left_out) == len(sources):
        yield from (source.form([source.file], rename) for source in left_out)


def find_in_directory(
    directory: Path, files: list[Path], rename: Mapping[str, str], *, needs_return: bool = True
) -> Iterator[LogReader | Unreadable | LeftOut]:
    """Yield the logs among the files of a directory, and what is left out.

    The formats in one directory describe the same run; reading each would report it repeatedly.

    Args:
        directory: where they are.
        files: its files.
        rename: names of the log, each with the catalogue's.
        needs_return: whether a table is a log only by its return; else it is one, too, where other
            metrics of learning are known in it.
    """
    by_form: dict[type[LogReader], list[Path]] = {}
    unknown: list[LeftOut] = []
    for file in files:
        try:
            form = _find_format(file)
            # Any table may be a CSV file; one with a column for the return is taken for a log.
            names = form.first_names(file) if form and form.needs_return else []
            if form and (not form.needs_return or _is_log(names, rename, needs_return)):
                by_form.setdefault(form, []).append(file)
            # A list of settings has no name that is like that of a return.
            elif form and names and (form is DelimitedReader or any(map(is_return, names))):
                why = f"none of its columns is known as a return: {format_names(names)}"
                unknown.append(LeftOut(file, why, form))
        except OSError as error:
            # One unreadable file among many must not hide the others.
            yield Unreadable(file, describe_os_error(file, error))
    yield from _choose_form(directory, by_form, rename)
    yield from unknown


def _choose_form(
    directory: Path, by_form: Mapping[type[LogReader], list[Path]], rename: Mapping[str, str]
) -> Iterator[LogReader | LeftOut]:
    """Yield the logs of one form, the first that is not empty, and the files of the others."""
    forms = [form for form in FORMATS if form in by_form]
    # A generator: forms after the chosen one are not opened, which would read their files.
    opened = (form.open_all(by_form[form], rename, directory) for form in forms)
    chosen = next((at for at, logs in enumerate(opened) if len(forms) == 1 or _have_rows(logs)), 0)
    for at, form in enumerate(forms):
        if at == chosen:
            # Anew: those that were looked into are read.
            yield from form.open_all(by_form[form], rename, directory)
            continue
        why = "it has no rows" if at < chosen else "it is of the same run"
        why += f": {by_form[forms[chosen]][0].name} in the same folder is read"
        yield from (LeftOut(file, why, form) for file in by_form[form])


def _have_rows(readers: Sequence[LogReader]) -> bool:
    """Return whether one has rows or is too large to be empty, or all are in other directories."""
    with suppress(OSError):  # reading it says what is wrong
        return not readers or any(
            sum(file.stat().st_size for file in reader.files) > SMALL or reader.read(final=True)
            for reader in readers
        )
    return True


def describe_os_error(path: Path, error: OSError) -> str:
    """Return a sentence on a file that cannot be read."""
    return f"{error.filename or path} cannot be read: {error.strerror}."


def _find_format(path: Path) -> type[LogReader] | None:
    return next((form for form in FORMATS if form.recognises(path)), None)


def _is_own_run(path: Path) -> bool:
    # Other tools use this name as well, so the first line decides.
    if path.name != "events.jsonl":
        return False
    try:
        with open_log(path) as file:
            return parse_json(file.readline())["kind"] == "job"
    except InputError:  # ours, with damage that reading it describes
        return True
    except (ValueError, LookupError, TypeError):
        return False


def list_columns(path: Path) -> list[str]:
    """Return the names of the columns of a table; empty for any other file."""
    with suppress(OSError):
        if DelimitedReader.recognises(path):
            return DelimitedReader.first_names(path)
    return []


def _is_log(names: list[str], rename: Mapping[str, str], needs_return: bool) -> bool:
    metrics = {metric.name for metric in match_metrics(names, rename, strict=True).values()}
    # A success rate alone may be that of anything: another metric must be with it.
    if any(name.startswith("return_mean") for name in metrics) or {"success_rate"} < metrics:
        return True
    return not needs_return and bool(metrics & LEARNING) and len(metrics) > 1
