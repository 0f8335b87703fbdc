# pyright: basic
"""Wait for what another process or thread does."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
FAR_S = 400.0
"""A busy machine may need minutes until Ray runs; what has not come by then never will."""


def wait_until(condition: Callable[[], T], look_s=0.05) -> T:
    """Return the condition's value as soon as it is true; fail if it never is."""
    end = time.monotonic() + FAR_S
    while not (value := condition()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(look_s)
    return value
