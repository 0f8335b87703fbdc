"""Parallel coordinates: the axes and the lines of trials."""

# pyright: basic
from typing import Any

import pytest

from tune_jobs.report.parallel_coordinates import Axis, plot_parallel_coordinates
from tune_jobs.run_log.outcome import Outcome


def test_an_axis_is_logarithmic_when_its_values_span_decades():
    axis = Axis.from_values("lr", [1e-5, 1e-3, 1e-1])
    assert axis.name == "lr (log)" and axis.places == pytest.approx([0, 0.5, 1])
    assert Axis.from_values("clip", [0.1, 0.3]).name == "clip"
    names = Axis.from_values("kind", ["gae", None, "gae"])
    assert names.places[0] == names.places[2] != names.places[1]


def test_parallel_coordinates_have_a_line_for_each_scored_trial(sweep_rows):
    figure: Any = plot_parallel_coordinates(Outcome.from_rows(sweep_rows))
    assert len(figure.data) == 15
