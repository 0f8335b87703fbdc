# pyright: basic
"""A stop request ends a trial or the run."""

from sessions import get_end, make_result, make_session

from tune_jobs.run_log.stop_requests import list_stop_requests, request_stop


def test_a_stop_request_ends_a_trial_and_is_cleared(tmp_path):
    rows = []
    session = make_session(tmp_path, rows.append)
    request_stop(tmp_path, "00")
    assert not session.stopper("01", make_result("01", 1, 1.0))
    assert session.stopper("00", make_result("00", 1, 1.0))
    assert get_end(rows) == (1, "stopped") and not list_stop_requests(tmp_path)
