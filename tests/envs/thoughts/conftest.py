# pyright: basic
"""What the tests of thoughts share."""

import pytest
from small_reader import QUICK, small


@pytest.fixture(scope="session")
def world(own_cache):
    """A world whose reader can read: a fifth of its text is filler."""
    return small(QUICK, filler=0.2)
