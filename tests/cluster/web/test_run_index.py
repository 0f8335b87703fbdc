# pyright: basic
"""The index of runs: which directories are runs, and which names reach them."""

import pytest
from dashboard_app import write
from starlette.exceptions import HTTPException
from synthetic_sweep import job_row

from cluster.web.run_index import RunIndex


def test_runs_have_a_job_file_or_a_log(tmp_path):
    write(tmp_path / "logged", [job_row()])
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "job.yaml").write_text("env: CartPole-v1\n")
    (tmp_path / "other").mkdir()
    runs = RunIndex(tmp_path)
    assert {run.name for run in runs.list_runs()} == {"logged", "prepared"}
    assert [run.name for run in runs.list_logged_runs()] == ["logged"]


def test_a_single_run_is_an_index_of_itself(tmp_path):
    run = write(tmp_path / "run", [job_row()])
    assert RunIndex(run).find_run("run") == run


@pytest.mark.parametrize("name", ["../run", "", ".", "none"])
def test_only_listed_names_are_found(name, tmp_path):
    write(tmp_path / "run", [job_row()])
    with pytest.raises(HTTPException):
        RunIndex(tmp_path).find_run(name)
