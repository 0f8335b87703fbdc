"""PyAMG without its hidden randomness."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import numpy as np


@contextlib.contextmanager
def reproducible() -> Generator[None]:
    """Seed numpy's global generator within the context and restore it afterwards.

    PyAMG estimates spectral radii from vectors of that generator, so that the same edges would
    otherwise bring a slightly different hierarchy every time.
    """
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)
