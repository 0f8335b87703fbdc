"""Imports without looking for garbage: PyTorch, Ray and RLlib come in 2.5 s and not in 3.3."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Generator[None]:
    """Import what makes half a million objects that stay.

    Python would look through all of them for unused cycles six times while they are made, and finds
    next to none.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
