"""Answers of commands: one JSON object with ``--json``, also after an error."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar, Literal, TextIO

from rich.console import Console

from rungwise.formatting import format_command

Answer = dict[str, Any]
"""The object that ``--json`` prints."""
Kind = Literal["input", "failed", "crash", "interrupted"]
"""Why a command has no result: ``input`` is a wrong call and exits with 2, ``failed`` is explained
by its message, ``crash`` by a traceback on stderr."""


STDOUT, STDERR = 1, 2
"""Descriptors."""


def _copy_stdout() -> TextIO:
    """Return ``sys.stdout``, on a descriptor of its own where it is that of the process."""
    with contextlib.suppress(io.UnsupportedOperation):  # a file in memory
        if sys.stdout.fileno() == STDOUT and sys.__stderr__ is not None:
            return os.fdopen(os.dup(STDOUT), "w", encoding=sys.stdout.encoding)
    return sys.stdout


class PlainConsole(Console):
    """Console that prints text as it is: in paths, [v2] is no markup and :x: no emoji."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)


class Terminal(PlainConsole):
    """Console of a command; with ``--json`` it prints nothing, and stdout has the answer only."""

    def __init__(self, as_json: bool) -> None:
        super().__init__(stderr=as_json, quiet=as_json)
        self.as_json = as_json
        # Stored now, because with --json stdout is redirected afterwards.
        self._stdout = _copy_stdout() if as_json else sys.stdout
        self._answered = False

    @contextlib.contextmanager
    def keep_stdout(self) -> Generator[None]:
        """Send to stderr what anything but this terminal prints on stdout.

        Libraries in C print to the descriptor, which Python's own redirection does not move.
        """
        stdout, moved = sys.stdout, self._stdout is not sys.stdout
        with contextlib.redirect_stdout(sys.stderr):
            if moved:
                os.dup2(STDERR, STDOUT)
            try:
                yield
            finally:
                if moved:
                    stdout.flush()  # a library may have kept it
                    ctypes.CDLL(None).fflush(None)  # what C still holds in its buffers
                    os.dup2(self._stdout.fileno(), STDOUT)

    def print_row(self, row: str) -> None:
        """Print one JSON object with ``--json``, of a command that prints one a line."""
        if self.as_json:
            self._answered = True
            try:
                self._stdout.write(row + "\n")
                self._stdout.flush()
            except BrokenPipeError:  # its reader has ended, as `head` does
                with contextlib.redirect_stdout(self._stdout):
                    self.on_broken_pipe()  # rich's, as for text: exit with status 1

    def print_answer(self, answer: Answer) -> None:
        """Print the answer with ``--json``, unless a server has printed one at its start.

        Raises:
            ValueError: a number in it is not finite.
        """
        if self.as_json and not self._answered:
            self.print_row(json.dumps(answer, allow_nan=False))


class CommandEnded(Exception):
    """A command ended without success. Holds the answer so far, and the sentence for people."""

    status: ClassVar[int] = 1
    kind: ClassVar[Kind | None] = None
    """The kind of the error; None where the answer itself is the verdict."""

    def __init__(self, answer: Answer, sentence: str) -> None:
        super().__init__(sentence)
        self.answer = answer


class RunInterrupted(CommandEnded):
    """The user stopped a run, which can be resumed."""

    status, kind = 130, "interrupted"

    def __init__(self, answer: Answer, directory: Path) -> None:
        resume = format_command("rungwise", "resume", directory)
        super().__init__(answer, f"Stopped. `{resume}` continues from the last checkpoints.")


class CommandFailed(CommandEnded):
    """A run ended without a result."""

    kind = "failed"


class Unhealthy(CommandEnded):
    """A finding calls for a stop: the verdict of ``check`` or ``doctor``, which is not an error."""


class ProgramEnded(CommandEnded):
    """A watched program was ended because it was doomed, which is not an error of ours."""

    status = 3


class WrongCall(Exception):
    """A command line that cannot be parsed; the error has been printed."""


def error_answer(kind: Kind, message: str) -> Answer:
    """Make the answer of an error."""
    return {"error": {"kind": kind, "message": message}}


@contextlib.contextmanager
def parsing() -> Generator[None]:
    """Turn the exit of tyro after a wrong call into :class:`WrongCall`, with its message.

    Raises:
        WrongCall: tyro refused the command line.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            yield
    except SystemExit as exit_:
        if not exit_.code:  # --help
            raise
        raise WrongCall(_extract_message(printed.getvalue())) from exit_
    finally:
        sys.stderr.write(printed.getvalue())


def _extract_message(text: str) -> str:
    """Extract the message from a box that tyro printed, without its title and its closing hint.

    Box-drawing characters form the rules between paragraphs and, on some terminals, a border.
    """
    lines = [line.strip("│ ") for line in text.strip().splitlines()]
    paragraphs = "\n".join("" if set(line) <= set("─-╰╯") else line for line in lines[1:])
    sentences = [" ".join(part.split()).rstrip(".") for part in paragraphs.split("\n\n")]
    return ". ".join(
        part for part in sentences if part and not part.startswith("For full helptext")
    )
