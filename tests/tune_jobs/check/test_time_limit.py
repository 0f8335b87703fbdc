# pyright: basic
"""A time limit interrupts any Python code."""

import time

import pytest

from envs.checking.guarded_calls import TimeUpError
from tune_jobs.check.time_limit import time_limit


def test_a_time_limit_outlasts_code_that_swallows_exceptions():
    def stubborn():
        while True:
            try:
                time.sleep(60)
            except Exception:
                continue

    started = time.monotonic()
    with pytest.raises(TimeUpError), time_limit(0.2):
        stubborn()
    assert time.monotonic() - started < 5
    with time_limit(60.0):
        pass
