"""Runs on object storage: reach it, and bring a run to this machine."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rungwise.formatting import format_command
from rungwise.optional_imports import TRAIN, import_extra
from rungwise.run_directory import JOB, LOG
from rungwise.run_log.log_file import SEGMENTS, get_segment, open_log
from rungwise.validation import InputError
from rungwise.write_errors import describe_cause, refuse_unwritable
from tune_jobs.jobs.job_yaml import get_file_mode
from tune_jobs.report.winner_section import WINNER

if TYPE_CHECKING:
    from pyarrow import fs

BLOCK = 1 << 22
"""Bytes of a file that are copied at a time."""
STREAMS = 16
"""Files that are downloaded at once."""
LOOKS = 5
"""Times that the files of a run are listed, whose driver may be deleting some meanwhile."""


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of an address, and the path in it.

    Raises:
        InputError: the address is not valid or cannot be reached, or PyArrow is not installed.
    """
    fs = import_extra("pyarrow.fs", TRAIN)
    asked = uri
    if uri.startswith("s3://"):  # a small file in one request instead of three
        asked += ("&" if "?" in uri else "?") + "allow_delayed_open=true"
    try:
        filesystem, path = fs.FileSystem.from_uri(asked)
        if not path.strip("/"):
            raise ValueError("it names no folder")
        # from_uri opens no connection: this is the first request.
        filesystem.get_file_info(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{uri} cannot be reached ({error}): give an address such as s3://bucket/folder, with "
            "?endpoint_override=HOST:PORT for a storage of your own."
        ) from error
    return filesystem, path.rstrip("/")


def fetch_run(uri: str, directory: Path) -> None:
    """Download a run from object storage into a new directory.

    Raises:
        InputError: there is no run at the address, the directory exists or cannot be written, or
            the copy fails.
    """
    if directory.exists():
        raise InputError(f"{directory} exists already: choose another place with --out.")
    filesystem, path = open_filesystem(uri)
    from pyarrow import fs

    if filesystem.get_file_info(f"{path}/{LOG}").type != fs.FileType.File:
        raise InputError(f"There is no run at {uri}: it has no {LOG}.")
    with refuse_unwritable(directory):
        directory.mkdir(parents=True)
    try:
        # What is deleted meanwhile has been replaced by what a later look finds.
        for _ in range(LOOKS):
            if _copy_new_files(filesystem, path, directory):
                break
    except OSError as error:
        raise InputError(
            f"{uri} could not be copied whole to {directory} ({describe_cause(error)}): delete the "
            "directory, free some disk space where there is none, and fetch the run again."
        ) from error
    for file in (directory / JOB, directory / WINNER):  # the storage keeps no permissions
        if file.is_file():
            file.chmod(file.stat().st_mode & get_file_mode(file.read_text()))


def _copy_new_files(filesystem: fs.FileSystem, path: str, directory: Path) -> bool:
    """Copy the files that a directory lacks; return whether none was deleted meanwhile."""
    from pyarrow import fs

    def copy(info: fs.FileInfo) -> bool:
        target = directory / PurePosixPath(info.path).relative_to(path)
        if target.exists() and target.name != LOG and target.stat().st_size == info.size:
            return True
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with (
                filesystem.open_input_stream(info.path, compression=None) as source,
                target.open("wb") as file,
            ):
                shutil.copyfileobj(source, file, BLOCK)
        except OSError:
            if filesystem.get_file_info(info.path).is_file:
                raise
            target.unlink(missing_ok=True)
            return False
        return True

    infos = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    with ThreadPoolExecutor(STREAMS) as pool:
        return all(list(pool.map(copy, (info for info in infos if info.is_file))))


def bring_run(address: str) -> Path:
    """Return the directory of a run on object storage, runs/NAME, once it is up to date.

    Raises:
        InputError: as :func:`fetch_run`, or the directory is that of another run.
    """
    directory = Path("runs", get_name(address))
    if not directory.exists():
        fetch_run(address, directory)
        return directory
    filesystem, path = open_filesystem(address)
    with open_log(directory / LOG) as log:
        first = log.readline()
    if not log_begins_with(first, filesystem, path):
        raise InputError(
            f"{directory} is another run than {address}: give the copy another directory with "
            f"`{format_command('rungwise', 'fetch', address, '--out', 'DIR')}`, and name that."
        )
    if _is_longer(filesystem, path, directory):
        # To another folder first: a download that fails leaves the directory as it was.
        fetched = directory.with_name(f".{directory.name}.fetched")
        shutil.rmtree(fetched, ignore_errors=True)
        fetch_run(address, fetched)
        shutil.copytree(fetched, directory, dirs_exist_ok=True)
        shutil.rmtree(fetched)
    return directory


def get_name(address: str) -> str:
    """Return the name of a run at an address."""
    return PurePosixPath(urlsplit(address).path).name


def log_begins_with(first: bytes, filesystem: fs.FileSystem, path: str) -> bool | None:
    """Return whether the log of a run on object storage begins so; None where it has none."""
    names = *(get_segment(Path(LOG), number).name for number in (0, 1)), LOG
    for log in filesystem.get_file_info([f"{path}/{name}" for name in names]):
        if log.is_file:
            with filesystem.open_input_stream(log.path) as file:  # which decompresses it
                return file.read(len(first)) == first
    return None


def _is_longer(filesystem: fs.FileSystem, path: str, directory: Path) -> bool:
    """Return whether the log on the storage continues that of a directory."""
    from pyarrow import fs

    names = (info.base_name for info in filesystem.get_file_info(fs.FileSelector(path)))
    more = sum(fnmatch(name, SEGMENTS) for name in names) - len(list(directory.glob(SEGMENTS)))
    here = (directory / LOG).read_bytes()
    with filesystem.open_input_stream(f"{path}/{LOG}", compression=None) as file:
        there = file.read()
    return more > 0 or (more == 0 and there != here and there.startswith(here))
