"""The command line ``rungwise``.

Every command takes ``--json``: then stdout is exactly one JSON object, also after an error
(``{"error": {"kind", "message"}}``), and everything else goes to stderr; `tail` prints an object a
line. Exit status: 0 on success,
2 for a wrong call, 3 where `watch` ended a doomed program, 1 for any other error, 130 after Ctrl-C,
143 after SIGTERM.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.commands.groups import COMMANDS, print_overview, print_version
from cluster.errors import Answer, CommandEnded, Terminal, WrongCall, error_answer, parsing
from envs.checking.guarded_import import describe_exit
from rungwise.interruption import get_exit_status, treat_sigterm_as_ctrl_c
from rungwise.optional_imports import TRAIN, TRAIN_PACKAGES, is_installed, missing_package_error
from rungwise.quick_imports import quick_imports
from rungwise.user_frames import find_user_frame
from rungwise.user_packages import extend_packages
from rungwise.validation import InputError, InputWarning, unknown_name_error
from tune_jobs.ray_session import RayStartError


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    # The user's environments (my_envs:Warehouse-v0) are imported from the current directory.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    extend_packages()
    # One thread per process: many small networks train side by side.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # RLlib warns about deprecated calls that it makes itself.
    logging.getLogger("ray._common.deprecation").setLevel(logging.ERROR)
    treat_sigterm_as_ctrl_c()
    sys.exit(get_exit_status(run(list(sys.argv[1:] if argv is None else argv))))


def run(argv: list[str]) -> int:
    """Run one command line and return its exit status."""
    # Before anything is parsed: errors of the parser are answers, too.
    # Behind -- are words of another program's command.
    words = argv[: argv.index("--")] if "--" in argv else argv
    terminal = Terminal(as_json="--json" in words)
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("once", InputWarning)
        warnings.showwarning = _show_warning
        if terminal.as_json:  # output of libraries must not end up in the JSON
            stack.enter_context(terminal.keep_stdout())
        status, answer = _run(argv, terminal)
    if answer is not None:
        terminal.print_answer(answer)
    return status


def _run(argv: list[str], terminal: Terminal) -> tuple[int, Answer | None]:
    """Return the exit status of a command line and its answer, or its error as an answer."""
    try:
        # Without --json tyro writes to the terminal itself, in its width and colours.
        with parsing() if terminal.as_json else contextlib.nullcontext():
            try:
                with quick_imports():
                    command = parse_command(argv)
            except BrokenPipeError:  # the reader of a help page has ended, as `head` does
                terminal.on_broken_pipe()
                raise
        return 0, _call(command, terminal)
    except WrongCall as error:
        return 2, error_answer("input", str(error))
    except InputError as error:
        _print_error(str(error))
        return 2, error_answer("input", str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in TRAIN_PACKAGES or is_installed(package):
            return _report_crash(error)
        missing = missing_package_error(f"`rungwise {argv[0]}`", package, TRAIN)
        _print_error(str(missing))
        return 2, error_answer("input", str(missing))
    except RayStartError as error:
        _print_error(str(error))
        return 1, error_answer("failed", str(error))
    except CommandEnded as end:
        _print_error(str(end))
        return end.status, end.answer | (error_answer(end.kind, str(end)) if end.kind else {})
    except KeyboardInterrupt:
        return 130, error_answer("interrupted", "Stopped by Ctrl-C.")
    # A crash is an answer, too: --json promises one object for every end.
    except Exception as error:
        return _report_crash(error)


def _call(command: Callable[[Terminal], Answer | None], terminal: Terminal) -> Answer | None:
    """Return the answer of a command.

    Raises:
        InputError: code of the user ended this process, which would otherwise end silently.
    """
    try:
        return command(terminal)
    except SystemExit as error:
        if frame := find_user_frame(error, installed=False):
            raise InputError(
                f"{describe_exit(error)} was called in {frame}: raise an exception there instead."
            ) from error
        raise


def _report_crash(error: Exception) -> tuple[int, Answer]:
    traceback.print_exc()
    return 1, error_answer("crash", f"{type(error).__name__}: {error}")


def _print_error(sentence: str) -> None:
    sys.stderr.write(f"rungwise: {sentence}\n")


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object
) -> None:
    if issubclass(category, InputWarning):
        _print_error(str(message))
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


def parse_command(argv: Sequence[str]) -> Callable[[Terminal], Answer | None]:
    """Return the command that a command line names, ready to be called with a console.

    Raises:
        InputError: there is no such command, or its job cannot be used.
        SystemExit: tyro has printed help, or which flag is wrong.
    """
    name, *flags = argv or [""]
    if name == "help":
        # `rungwise help tune` as of git: the help of a command, or that of all.
        name, *flags = [*[word for word in flags if word != "--json"], "--help"]
        flags = flags[:1]
    if name in ("-h", "--help"):
        return print_overview
    if name in ("-V", "--version", "version"):
        return print_version
    if not name or name.startswith("-"):
        first = f"its first word is {name}" if name else "there is none"
        raise InputError(f"`rungwise` needs a command, but {first}: `rungwise --help` lists them.")
    if name not in COMMANDS:
        raise unknown_name_error("command", name, COMMANDS)
    return COMMANDS[name].parse(flags)
