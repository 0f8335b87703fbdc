# pyright: basic
"""No rule ends a run of the published tables that ends in their top third."""

import dataclasses
import sys

import numpy as np
import pytest
from benchmarks import false_alarms
from benchmarks.false_alarms import BOTTOM, MIDDLE, TOP, Outcome, judge_all, split_into_thirds
from benchmarks.stop_judges import METHODS

MOST = 0.005
"""Share of the top third that may be stopped."""
RUNS = 16
"""Runs of each table, for speed."""
NAN = float("nan")


@pytest.fixture(scope="module")
def tables():
    found = false_alarms.read_tables(false_alarms.DATA, seeds=1)
    if not found:
        pytest.skip(f"{false_alarms.DATA} has no tables of ARLBench")
    return [dataclasses.replace(t, curves=t.curves[:RUNS], thirds=t.thirds[:RUNS]) for t in found]


@pytest.mark.parametrize(
    ("ends", "thirds"),
    [
        ([1, 2, 3, 4, 5, 6], [BOTTOM, BOTTOM, MIDDLE, MIDDLE, TOP, TOP]),
        ([0, 0, 0, 0, 0, 1], [BOTTOM, BOTTOM, BOTTOM, BOTTOM, BOTTOM, TOP]),
        ([0, 0, 1, 2, 2, 2], [BOTTOM, BOTTOM, MIDDLE, TOP, TOP, TOP]),
        ([NAN, NAN, -5, -5, -5, 3], [BOTTOM, BOTTOM, BOTTOM, BOTTOM, BOTTOM, TOP]),
    ],
)
def test_thirds_with_ties_and_diverged_runs(ends, thirds):
    assert split_into_thirds(np.array(ends, float)).tolist() == thirds


@pytest.mark.system
@pytest.mark.parametrize("iterations", [10, 100])
def test_health_rules_stop_no_run_of_the_top_third(tables, iterations):
    method = f"Rungwise, {iterations} iterations"
    figures = judge_all(method, METHODS[method], tables).summarise()
    assert figures["top_stopped"] <= MOST
    assert figures["bottom_stopped"] > 0.01  # those that diverge


@pytest.mark.parametrize(
    "method", [name for name in METHODS if name.startswith(("Optuna", "Tune"))]
)
def test_pruners_of_other_libraries_stop_runs(tables, method):
    figures = judge_all(method, METHODS[method], tables).summarise()
    assert 0 < figures["top_stopped"] < figures["middle_stopped"] + 0.2 < 1.2
    assert 0 < figures["saved"] < 0.9


def test_intervals_of_no_and_of_some_stops():
    thirds, rules = np.arange(300) % 3, np.array(["", "x"] * 150)
    known = Outcome("a", np.arange(300) % 5, thirds, np.full(300, 4), rules, rules != "")
    assert known.summarise("y")["top_interval"] == (0.0, pytest.approx(0.037, abs=1e-3))
    low, high = known.summarise("x")["top_interval"]
    assert low <= 0.5 <= high
    assert known.summarise()["saved"] == 0.3


def test_a_folder_without_tables_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["false_alarms", "--data", str(tmp_path)])
    with pytest.raises(SystemExit, match=f"{tmp_path} has no table.*--data"):
        false_alarms.main()
