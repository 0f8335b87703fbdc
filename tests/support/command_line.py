# pyright: basic
"""Runs ``rungwise`` as a user would: as a command in a directory, or in this process."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

from cluster import cli


def command(*words) -> list[str]:
    return [str(Path(sys.executable).with_name("rungwise")), *map(str, words)]


def rungwise(*words, cwd, timeout=None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=cwd, capture_output=True, text=True, timeout=timeout)


def call(*words, cwd, typed="") -> subprocess.CompletedProcess[str]:
    """The same in this process, where PyTorch and Ray are imported once for all tests.

    For commands that start no Ray and import no environment from the directory.
    """
    words, out, err = [*map(str, words)], io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("sys.stdin", io.StringIO(typed)),
    ):
        try:
            status = cli.run(words)
        except SystemExit as exit_:  # raised by tyro
            status = int(exit_.code or 0)
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def answer(done: subprocess.CompletedProcess[str]):
    """The one JSON object of a call with --json; anything else on stdout fails."""
    return json.loads(done.stdout)
