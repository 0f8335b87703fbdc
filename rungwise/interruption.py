"""SIGTERM does what Ctrl-C does: SLURM, Kubernetes and `timeout` end programs with it.

SLURM and `timeout` send it to Ray's processes, too. Tune then waits for a dead Ray inside a call
that no Python handler can leave, so a thread ends the process when its time is over.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

INTERRUPTED, TERMINATED = 130, 143
"""Exit status after Ctrl-C and after SIGTERM, as shells give it: 128 and the signal's number."""
GRACE_S = 10.0
"""Seconds to end well after SIGTERM; SLURM and Kubernetes kill after 30."""
_received = threading.Event()
_last_words: list[Callable[[], None]] = []


def treat_sigterm_as_ctrl_c() -> None:
    """Let SIGTERM run whatever handles Ctrl-C at that moment: ours, Tune's or a server's."""
    signal.signal(signal.SIGTERM, _interrupt)
    # Python writes the number of every signal there as it arrives, whichever handler is set: Ray
    # has a handler of its own while it starts.
    read, write = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_end_in_time, args=(read,), daemon=True).start()


def received_sigterm(wait_s: float = 0.0) -> bool:
    """Return whether SIGTERM was received; ``wait_s`` gives the thread that reads it time to."""
    return _received.wait(wait_s)


def get_exit_status(status: int) -> int:
    """Return the exit status of a command that would end with this one after Ctrl-C."""
    return TERMINATED if status == INTERRUPTED and received_sigterm() else status


@contextmanager
def run_last_words(say: Callable[[], None]) -> Generator[None]:
    """Have this called, in a thread, before a process is ended that did not end in time."""
    _last_words.append(say)
    try:
        yield
    finally:
        _last_words.remove(say)


def _interrupt(_: int, frame: FrameType | None) -> None:
    _received.set()
    handler = signal.getsignal(signal.SIGINT)
    # A shell script starts its background jobs with Ctrl-C ignored; SIGTERM must still end them.
    if not callable(handler):
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


def _end_in_time(pipe: int) -> None:
    while signal.SIGTERM not in os.read(pipe, 64):
        pass
    _received.set()
    time.sleep(GRACE_S)
    end_with_last_words(TERMINATED)


def end_with_last_words(status: int) -> NoReturn:
    """End this process from a thread, where its main thread waits for what never answers."""
    for say in reversed(_last_words):
        with suppress(Exception):
            say()
    os._exit(status)
