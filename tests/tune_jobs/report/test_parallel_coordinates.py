"""Parallel coordinates: Plotly's own, with a brush."""

# pyright: basic
from typing import Any

import pytest

from rungwise.run_log.outcome import Outcome
from tune_jobs.report.parallel_coordinates import make_axis, plot_parallel_coordinates


def test_an_axis_is_logarithmic_when_its_values_span_a_decade():
    axis = make_axis("lr", [1e-5, 1e-3, 1e-1])
    assert axis["values"] == pytest.approx([-5, -3, -1]) and axis["range"] == [-5, -1]
    assert dict(zip(axis["ticktext"], axis["tickvals"], strict=True))["0.001"] == -3
    assert make_axis("clip", [0.1, 0.3])["values"] == [0.1, 0.3]
    names = make_axis("<kind>", ["gae", None, "gae"])
    assert names["values"] == [1, 0, 1] and names["label"] == "&lt;kind&gt;"


def test_there_is_an_axis_for_each_setting_that_differs_and_the_score(sweep_rows):
    figure: Any = plot_parallel_coordinates(Outcome.from_rows(sweep_rows))
    (trace,) = figure.data
    labels = [dimension.label for dimension in trace.dimensions]
    assert labels[-1] == "excess risk" and len(labels) == 6
    assert {len(dimension["values"]) for dimension in trace.dimensions} == {15}
    assert list(trace.line.color) == list(trace.dimensions[-1]["values"])
