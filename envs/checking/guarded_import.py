"""Import of a user's module that may try to end this process, or never return."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

from envs.checking.user_frames import find_running_frame

LATE_S = 15.0
"""Seconds after which an import is reported: those of large libraries take up to ten."""


class ProcessExit(SystemExit):
    """A call of ``os._exit`` while a module is imported."""


@contextmanager
def guard_import(module: str) -> Generator[None]:
    """Raise ProcessExit where an imported module calls ``os._exit``, and report a late import.

    Both would otherwise leave the user without a word. A crash of native code is not caught: that
    takes another process (:mod:`envs.checking.import_probe`), and up to seconds.
    """
    if module in sys.modules:
        yield
        return
    end_process, process, thread = os._exit, os.getpid(), threading.get_ident()

    def raise_exit(status: int) -> NoReturn:
        # Processes that a module forks end so, and a watchdog may end this one meanwhile.
        if (os.getpid(), threading.get_ident()) != (process, thread):
            end_process(status)
        raise ProcessExit(status)

    def report_late_import() -> None:
        place = find_running_frame(thread)
        sys.stderr.write(
            f"rungwise: the module {module} is still being imported after {LATE_S:.0f} s"
            f"{f', at {place}' if place else ''}: if that does not end, put what only a script "
            'should do below `if __name__ == "__main__":`.\n'
        )

    timer = threading.Timer(LATE_S, report_late_import)
    timer.daemon = True
    timer.start()
    os._exit = raise_exit
    try:
        yield
    finally:
        os._exit = end_process
        timer.cancel()
