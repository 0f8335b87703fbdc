# pyright: basic
"""The id of a run in the stores of trackers."""

from dataclasses import replace

from synthetic_sweep import job_row

from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.session.prepare import make_job_row
from tune_jobs.trackers.remote_id import get_remote_prefix


def test_a_run_has_a_random_id_in_all_its_sessions(tmp_path):
    job = make_job({"env": "CartPole-v1"})
    first, other = (make_job_row(job, tmp_path, []) for _ in range(2))
    again = make_job_row(job, tmp_path, [first])
    assert first.id == again.id != other.id and (first.resumed, again.resumed) == (False, True)
    assert get_remote_prefix(tmp_path, [first, again]) == first.id


def test_a_run_of_an_earlier_version_keeps_its_name(tmp_path):
    old = replace(job_row(), id="")
    assert make_job_row(make_job({"env": "CartPole-v1"}), tmp_path, [old]).id == ""
    assert get_remote_prefix(tmp_path / "a", [old]) == "a" == get_remote_prefix(tmp_path / "a", [])
