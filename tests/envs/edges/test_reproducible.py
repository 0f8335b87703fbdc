# pyright: basic
"""PyAMG's randomness: the same draws every time, and numpy's state as before."""

import numpy as np
import pytest

from envs.edges.reproducible import reproducible


def test_draws_repeat_and_the_state_is_restored_after_an_error():
    np.random.seed(7)
    expected = np.random.rand(2)
    np.random.seed(7)
    assert np.random.rand() == expected[0]
    draws = []
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), reproducible():
            draws.append(np.random.rand())
            raise ZeroDivisionError
    assert draws[0] == draws[1] != expected[1]
    assert np.random.rand() == expected[1]
