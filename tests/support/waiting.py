# pyright: basic
"""Wait for what another process or thread does."""

import socket
import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
FAR_S = 400.0
"""A busy machine may need minutes until Ray runs; what has not come by then never will."""


def wait_until(
    condition: Callable[[], T], look_s=0.05, process: subprocess.Popen | None = None
) -> T:
    """Return the condition's value as soon as it is true.

    Fail if it never is, or if the process that is to make it true has ended.
    """
    end = time.monotonic() + FAR_S
    while not (value := condition()):
        assert time.monotonic() < end, "it never came true"
        assert process is None or process.poll() is None, "the process ended before"
        time.sleep(look_s)
    return value


def find_free_port() -> int:
    """Return a port of this machine that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]
