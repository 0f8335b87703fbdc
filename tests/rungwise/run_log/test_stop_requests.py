"""Stop requests: files in the run directory."""

from pathlib import Path

from rungwise.run_log.stop_requests import (
    JOB,
    clear_stop_request,
    is_stop_requested,
    list_stop_requests,
    request_stop,
)


def test_a_request_stands_until_it_is_cleared(tmp_path: Path):
    assert list_stop_requests(tmp_path) == [] and not is_stop_requested(tmp_path)
    request_stop(tmp_path, "01")
    request_stop(tmp_path)
    request_stop(tmp_path)  # asked for twice
    assert list_stop_requests(tmp_path) == ["01", JOB]
    assert is_stop_requested(tmp_path, "01") and not is_stop_requested(tmp_path, "00")
    clear_stop_request(tmp_path)
    clear_stop_request(tmp_path)
    assert list_stop_requests(tmp_path) == ["01"]
