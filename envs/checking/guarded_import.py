"""Code of the user that may try to end this process, or never return."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

from rungwise.user_frames import find_running_frame

LATE_S = 15.0
"""Seconds after which an import is reported: those of large libraries take up to ten."""


class ProcessExit(SystemExit):
    """A call of ``os._exit`` by code of the user."""


def describe_exit(error: SystemExit) -> str:
    """Return the call that an exit comes from."""
    call = "os._exit" if isinstance(error, ProcessExit) else "sys.exit"
    return f"{call}({'' if error.code is None else repr(error.code)})"


@contextmanager
def guard_exit() -> Generator[None]:
    """Raise ProcessExit where ``os._exit`` is called, which would end the command silently."""
    end_process, process, thread = os._exit, os.getpid(), threading.get_ident()

    def raise_exit(status: int) -> NoReturn:
        # Processes that the code forks end so, and a watchdog may end this one meanwhile.
        if (os.getpid(), threading.get_ident()) != (process, thread):
            end_process(status)
        raise ProcessExit(status)

    os._exit = raise_exit
    try:
        yield
    finally:
        os._exit = end_process


@contextmanager
def guard_import(module: str) -> Generator[None]:
    """Raise ProcessExit where an imported module calls ``os._exit``, and report a late import.

    A crash of native code is not caught: that takes another process
    (:mod:`envs.checking.import_probe`), and up to seconds.
    """
    if module in sys.modules:
        yield
        return
    thread = threading.get_ident()

    def report_late_import() -> None:
        frame = find_running_frame(thread)
        sys.stderr.write(
            f"rungwise: the module {module} is still being imported after {LATE_S:.0f} s"
            f"{f', at {frame}' if frame else ''}: if that does not end, put what only a script "
            'should do below `if __name__ == "__main__":`.\n'
        )

    timer = threading.Timer(LATE_S, report_late_import)
    timer.daemon = True
    timer.start()
    try:
        with guard_exit():
            yield
    finally:
        timer.cancel()
