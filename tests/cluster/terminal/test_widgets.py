# pyright: basic
"""Bars, sparklines and the time left."""

import pytest
from terminal_screens import JOB, rows_of

from cluster.terminal.widgets import draw_bar, draw_sparkline, estimate_seconds_left
from rungwise.run_log.outcome import Outcome


def test_bars_and_curves_have_their_width():
    assert draw_bar(16, 27, 10) == "▇▇▇▇▇▇▁▁▁▁ 16/27"
    assert draw_bar(99, 27, 5) == "▇▇▇▇▇ 99/27" and draw_bar(7, 0, 5) == "7"
    assert draw_sparkline([3.0, 2.0, 1.0], 8) == "█▅▁"
    assert len(draw_sparkline([float(i) for i in range(100)], 8)) == 8
    assert draw_sparkline([1e308, -1e308], 8) == "█▁" and draw_sparkline([], 8) == ""


def test_the_time_left_is_told_once_three_trials_have_ended():
    outcome = Outcome.from_rows([JOB, *rows_of(trials=3)])
    assert estimate_seconds_left(outcome, 16, 32.0) is None
    outcome = Outcome.from_rows([JOB, *rows_of()])
    # 11 ended after 38 / 11 iterations on average; trial 02 has outlived that, so 4 are left.
    assert estimate_seconds_left(outcome, 43, 86.0) == pytest.approx(8.0)
