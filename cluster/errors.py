"""What a command answers: one JSON object with ``--json``, also where it fails."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

Answer = dict[str, Any]
"""The object that ``--json`` prints."""
Kind = Literal["input", "failed", "crash", "interrupted"]
"""Why a command gave no result: ``input`` is a wrong call and exits with 2, ``failed`` is told in a
sentence, ``crash`` has a traceback on stderr."""


class Terminal(Console):
    """The console of a command; with ``--json`` it is silent and stdout is for the answer alone."""

    def __init__(self, as_json: bool) -> None:
        super().__init__(stderr=as_json, quiet=as_json)
        self.as_json = as_json
        self._stdout = sys.stdout
        self._answered = False

    def print_answer(self, answer: Answer) -> None:
        """Print the answer with ``--json``, unless one is printed: a server answers at its start.

        Raises:
            ValueError: if a number in it is not finite.
        """
        if self.as_json and not self._answered:
            line = json.dumps(answer, allow_nan=False) + "\n"
            self._answered = True
            self._stdout.write(line)
            self._stdout.flush()


class RunInterrupted(Exception):
    """The user stopped a run; it can be resumed. Carries the answer so far."""

    def __init__(self, answer: Answer, directory: Path) -> None:
        super().__init__(
            f"Stopped. `rungwise resume {directory}` goes on from the last checkpoints."
        )
        self.answer = answer


class CommandFailed(Exception):
    """A run ended without a result; carries the answer."""

    def __init__(self, answer: Answer, sentence: str) -> None:
        super().__init__(sentence)
        self.answer = answer


class Unhealthy(Exception):
    """The verdict of a command that judges: what it judged calls for a stop. Not an error."""

    def __init__(self, answer: Answer, sentence: str) -> None:
        super().__init__(sentence)
        self.answer = answer


class WrongCall(Exception):
    """A command line that does not parse; the user has been told."""


def error_answer(kind: Kind, message: str) -> Answer:
    """An error as ``--json`` prints it."""
    return {"error": {"kind": kind, "message": message}}


@contextlib.contextmanager
def parsing() -> Generator[None]:
    """Turn the exit of tyro after a wrong call into :class:`WrongCall`, with what it said.

    Raises:
        WrongCall: tyro refused the command line.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit as ended:
        if not ended.code:  # --help
            raise
        raise WrongCall(_unboxed(said.getvalue())) from ended
    finally:
        sys.stderr.write(said.getvalue())


def _unboxed(text: str) -> str:
    """The sentences of a box of tyro's, without its title and the advice to read the help.

    Rules between its paragraphs, and a border where the terminal can show one, are drawn of lines.
    """
    lines = [line.strip("│ ") for line in text.strip().splitlines()]
    paragraphs = "\n".join("" if set(line) <= set("─-╰╯") else line for line in lines[1:])
    told = [" ".join(part.split()).rstrip(".") for part in paragraphs.split("\n\n")]
    return ". ".join(part for part in told if part and not part.startswith("For full helptext"))
