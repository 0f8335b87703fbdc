# pyright: basic
"""The stopper: when a trial ends, and which rows its results leave in the log."""

import math

import pytest
from sessions import make_result, make_session

from tune_jobs.run_log.events import EndRow, FindingRow, ResultRow
from tune_jobs.run_log.stop_requests import list_stop_requests, request_stop


@pytest.fixture
def report(tmp_path):
    """Report these scores, one an iteration; the rows up to the end of the trial."""

    def report(scores, **changed):
        rows = []
        session = make_session(tmp_path, rows.append, **changed)
        for i, score in enumerate(scores, 1):
            metrics = {} if math.isnan(score) else {"return_mean": score}
            if session.stopper("00", make_result("00", i, score, metrics)):
                break
        return rows

    return report


def get_end(rows):
    ends = [(row.iteration, row.reason) for row in rows if isinstance(row, EndRow)]
    assert len(ends) <= 1
    return ends[0] if ends else None


def test_a_trial_ends_when_its_patience_is_used_up(report):
    scores = [1.0, 2.0, 3.0, 3.02, 2.9, 3.01, 3.0, 3.0]
    rows = report(scores, patience=4, iterations=100)
    # The best is that of iteration 3: 3.02 is less than 1 % better.
    assert get_end(rows) == (7, "plateau")
    assert rows[-1].sentence == "the score has not improved for 4 iterations"
    assert get_end(report(scores, patience=5, iterations=100)) == (8, "plateau")
    assert get_end(report(scores, patience=0, iterations=100)) is None
    assert get_end(report(scores, patience=3, min_delta=0.001, iterations=100)) == (7, "plateau")
    assert get_end(report([*scores, 3.5, *[3.5] * 3], patience=6, iterations=100)) is None


def test_missing_scores_do_not_start_the_patience(report):
    scores = [math.nan] * 6 + [1.0, 1.0]
    assert get_end(report(scores, patience=4, iterations=100, health={"not_finite": "off"})) is None


def test_budget_and_target_end_a_trial(report):
    assert get_end(report([1.0, 2.0, 3.0], iterations=2, grace=1)) == (2, "budget")
    assert get_end(report([1.0, 2.0, 3.0], iterations=9, target=2.5)) == (3, "target")


def test_the_target_comes_before_the_budget(report):
    assert get_end(report([1.0, 3.0], iterations=2, grace=1, target=2.5)) == (2, "target")


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


def test_a_fault_ends_a_trial_before_any_other_rule(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append, iterations=1, scheduler="none")
    result = make_result("00", 1, math.nan, {}, fault="reset() raised ValueError")
    assert session.stopper("00", result)
    assert [type(row) for row in rows] == [ResultRow, EndRow]
    assert (rows[-1].reason, rows[-1].sentence) == ("error", "reset() raised ValueError")


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


def test_an_idle_gpu_is_a_finding(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append)
    session.stopper("00", make_result("00", 1, 1.0) | {"gpus_idle": 1.0})
    assert [row.symptom for row in rows if isinstance(row, FindingRow)] == ["idle_gpu"]


def test_a_stop_request_ends_a_trial_and_is_cleared(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append)
    request_stop(tmp_path, "00")
    assert not session.stopper("01", make_result("01", 1, 1.0))
    assert session.stopper("00", make_result("00", 1, 1.0))
    assert get_end(rows) == (1, "stopped") and not list_stop_requests(tmp_path)


def test_a_stop_request_for_the_run_stops_all(tmp_path):
    stopper = make_session(tmp_path).stopper
    assert not stopper.stop_all()
    request_stop(tmp_path)
    assert stopper.stop_all() and stopper.run_stop_requested
    assert not list_stop_requests(tmp_path) and stopper.stop_all()
