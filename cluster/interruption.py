"""SIGTERM does what Ctrl-C does: SLURM, Kubernetes and `timeout` end programs with it."""

from __future__ import annotations

import signal
import threading
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143
"""Exit status after Ctrl-C and after SIGTERM, as shells give it: 128 and the signal's number."""
_received = threading.Event()


def treat_sigterm_as_ctrl_c() -> None:
    """Let SIGTERM run whatever handles Ctrl-C at that moment: ours, Tune's or a server's."""
    signal.signal(signal.SIGTERM, _interrupt)


def terminated() -> bool:
    """Return whether SIGTERM was received."""
    return _received.is_set()


def exit_status(status: int) -> int:
    """Return the exit status of a command that would end with this one after Ctrl-C."""
    return TERMINATED if status == INTERRUPTED and terminated() else status


def _interrupt(_: int, frame: FrameType | None) -> None:
    _received.set()
    handler = signal.getsignal(signal.SIGINT)
    # A shell script starts its background jobs with Ctrl-C ignored; SIGTERM must still end them.
    if not callable(handler):
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)
