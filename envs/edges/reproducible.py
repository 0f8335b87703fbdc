"""PyAMG without its hidden randomness."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import numpy as np


@contextlib.contextmanager
def reproducible() -> Generator[None]:
    """Within it, numpy's global generator starts from the same place; afterwards it is as before.

    PyAMG estimates spectral radii from vectors of that generator, so that the same edges would
    otherwise bring a slightly different hierarchy every time.
    """
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)
