# pyright: basic
"""The driver says once when trials wait for it."""

import warnings

import pytest

from rungwise.validation import InputWarning
from tune_jobs.session.driver_load import WINDOW_S, DriverLoad


def watch(busy, results=300):
    """The warnings of a driver that is busy for these fractions of its windows."""
    now = used = 0.0
    load = DriverLoad(lambda: now, lambda: used)
    load.look()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for share in busy:
            for _ in range(results):
                load.count_result()
            now, used = now + WINDOW_S / 2, used + share * WINDOW_S / 2
            load.look()  # too early
            now, used = now + WINDOW_S / 2, used + share * WINDOW_S / 2
            load.look()
    assert all(warning.category is InputWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def test_a_full_window_is_said_once_with_its_rate():
    (sentence,) = watch([0.3, 0.95, 0.95])
    assert "for 60 s" in sentence and "5 results a second" in sentence


@pytest.mark.parametrize("share", [0.0, 0.5, 0.89])
def test_a_driver_that_waits_is_no_bottleneck(share):
    assert watch([share] * 3) == []
