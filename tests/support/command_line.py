# pyright: basic
"""Runs ``rungwise`` as a user would: as a command, in a directory of its own."""

import json
import subprocess
import sys
from pathlib import Path


def command(*words) -> list[str]:
    return [str(Path(sys.executable).with_name("rungwise")), *map(str, words)]


def rungwise(*words, cwd, timeout=None, typed="") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), cwd=cwd, input=typed, capture_output=True, text=True, timeout=timeout
    )


def answer(done: subprocess.CompletedProcess[str]):
    """The one JSON object of a call with --json; anything else on stdout fails."""
    return json.loads(done.stdout)
