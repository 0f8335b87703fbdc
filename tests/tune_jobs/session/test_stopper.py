# pyright: basic
"""The stopper: when a trial ends, and which rows its results leave in the log."""

import math

import pytest
from sessions import get_end, make_result, make_session

from rungwise.run_log.events import EndRow, FindingRow, ResultRow
from rungwise.run_log.stop_requests import list_stop_requests, request_stop


def test_rows_come_in_the_order_result_finding_end(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append)
    sick = {"return_mean": 1.0, "nonfinite": 3.0, "nonfinite_where": "loss"}
    session.stopper("00", make_result("00", 1, 1.0))
    assert session.stopper("00", make_result("00", 2, 1.0, sick))
    assert [type(row) for row in rows[1:]] == [ResultRow, FindingRow, EndRow]
    assert rows[-1].reason == "health" and rows[-1].sentence.startswith("not_finite: ")


def test_a_finding_is_written_once(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append, health={"not_finite": "warn"})
    for i in range(1, 4):
        session.stopper("00", make_result("00", i, 1.0, {"return_mean": 1.0, "nonfinite": 3.0}))
    assert sum(isinstance(row, FindingRow) for row in rows) == 1


@pytest.mark.parametrize(
    ("reported", "finding"),
    [("idle_gpu", ("idle_gpu", "warn")), ("left_out", ("lines_left_out", "note"))],
)
def test_what_a_trial_reports_of_itself_is_a_finding(tmp_path, reported, finding):
    rows = []
    session = make_session(tmp_path, rows.append)
    for i in range(1, 3):
        session.stopper("00", make_result("00", i, 1.0) | {reported: "line 6 has 3 cells"})
    (row,) = (row for row in rows if isinstance(row, FindingRow))
    assert (row.symptom, row.severity) == finding
    assert row.evidence.endswith("line 6 has 3 cells")


def test_a_stop_request_for_the_run_stops_all(tmp_path):
    stopper = make_session(tmp_path).stopper
    assert not stopper.stop_all()
    request_stop(tmp_path)
    assert stopper.stop_all() and stopper.run_stop_requested
    assert not list_stop_requests(tmp_path) and stopper.stop_all()


@pytest.mark.parametrize("iterations", [4, 5])
def test_nothing_is_stopped_in_the_last_iteration(report, iterations):
    # Flat from the first score on: the patience of 3 is used up at iteration 4.
    rows = report([1.0] * 5, patience=3, iterations=iterations, grace=1)
    assert get_end(rows) == (4, "budget" if iterations == 4 else "plateau")


def test_a_finding_in_the_last_iteration_stays_in_the_log(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append, iterations=1, scheduler="none")
    sick = {"return_mean": 1.0, "nonfinite": 3.0}
    assert session.stopper("00", make_result("00", 1, math.nan, sick))
    assert "stop" in [row.severity for row in rows if isinstance(row, FindingRow)]
    assert get_end(rows) == (1, "budget")
