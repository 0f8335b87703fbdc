# pyright: basic
"""Labels of logarithmic axes."""

from typing import Any

import pytest

from tune_jobs.report.axes import choose_log_ticks, set_log_axis
from tune_jobs.report.plots import make_blank_figure


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.04, 0.9, [0.05, 0.1, 0.2, 0.5]),
        (1, 1000, [1, 10, 100, 1000]),
        (0.046, 0.26, [0.05, 0.1, 0.2]),
        (0.11, 0.17, [0.11, 0.17]),
        (21, 24, [21, 24]),
    ],
)
def test_labels_are_round_numbers(low, high, ticks):
    found = choose_log_ticks(low, high)
    assert set(ticks) <= set(found) and 2 <= len(found) <= 8


def test_an_axis_has_its_labels_as_text():
    figure: Any = make_blank_figure()
    set_log_axis(figure, [0.05, 0.5], "x")
    assert list(figure.layout.xaxis.ticktext) == ["0.05", "0.1", "0.2", "0.5"]
    assert len(choose_log_ticks(1e-30, 1e30)) <= 8
