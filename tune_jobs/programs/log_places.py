"""Where a program may log outside of its working directory: its open files, and what it names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import psutil

from tune_jobs.programs.process import ProgramProcess

MOST_FILES = 20_000
"""Files of the named folders that are looked at: one of them may hold a data set."""
SKIPPED = {"__pycache__", "node_modules", "site-packages"}
"""Folders that no program logs to, besides hidden ones."""
SHARED = {".db", ".sqlite", ".sqlite3"}
"""Endings of files that hold the runs of several programs."""


class LogPlaces:
    """Places of one program outside of the folders in which its log is expected.

    Args:
        process: the program.
        command: its words.
        roots: the folders in which its log is expected.
    """

    def __init__(
        self, process: ProgramProcess, command: Sequence[str], roots: Sequence[Path]
    ) -> None:
        self.process, self.command = process, command
        self.roots = [root.resolve() for root in roots]

    def list_open_files(self) -> list[Path]:
        """Return the files that its processes have open for writing, and that may be its log."""
        files = {path for each in self.process.list_processes() for path in _list_written(each)}
        outside = (path for path in files if not self._is_expected(path))
        return sorted(path for path in outside if path.suffix not in SHARED and not _hidden(path))

    def list_named(self) -> list[Path]:
        """Return the files and folders that exist and that the command names."""
        named: dict[Path, None] = {}
        for word in self.command:
            for text in {word, word.partition("=")[2]}:
                if os.sep not in text:
                    continue
                with suppress(OSError, RuntimeError, ValueError):  # a word that is no path
                    path = (self.process.directory / Path(text).expanduser()).resolve()
                    # A folder that holds the working directory is no place of this program alone.
                    holds_root = any(root.is_relative_to(path) for root in self.roots)
                    if path.exists() and not holds_root and not self._is_expected(path):
                        named[path] = None
        return list(named)

    def list_named_files(self) -> list[Path]:
        """Return the files at the named places, at most :data:`MOST_FILES`."""
        return list(islice((f for path in self.list_named() for f in _walk(path)), MOST_FILES))

    def _is_expected(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self.roots)


def walk_files(root: Path) -> Iterator[Path]:
    """Yield the files below a folder in which a program may log."""
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name[0] != "." and name not in SKIPPED]
        # A run of ours is not the log of the program, and may hold another program's output.
        if "job.yaml" in names and "events.jsonl" in names and Path(folder) != root:
            inner.clear()
            continue
        yield from (Path(folder, name) for name in names)


def _walk(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from walk_files(path)
    elif path.is_file() and path.suffix not in SHARED:
        yield path


def _list_written(process: psutil.Process) -> list[Path]:
    with suppress(psutil.Error, OSError):
        # Linux knows how a file was opened; elsewhere every open file may be written.
        opened = process.open_files()
        return [Path(file.path) for file in opened if getattr(file, "mode", "w") != "r"]
    return []


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part in SKIPPED for part in path.parts[1:])
