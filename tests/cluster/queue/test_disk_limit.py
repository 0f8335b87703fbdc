# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""Jobs wait while the runs of a service take more disk than they may."""

import pytest
from dashboard_app import desk

from cluster.queue import disk_limit
from cluster.queue.orders import get_run_state, read_order
from cluster.queue.run_queue import RunQueue
from cluster.web.schemas import Submission
from rungwise.validation import InputError
from tune_jobs.disk_space import measure_size

JOB = {"env": "CartPole-v1", "iterations": 1}
SENTENCE = (
    "waits for disk space: the runs take 1.0 GiB, more than --disk-limit 1; delete runs or "
    "checkpoints"
)


def test_a_job_waits_with_a_sentence_until_there_is_space(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_limit, "MEASURE_INTERVAL_S", 0.0)
    queue = RunQueue(tmp_path, disk_limit=1.0)
    full = tmp_path / "old" / "checkpoint"
    full.parent.mkdir()
    with full.open("wb") as file:
        file.truncate(2**30)  # without taking the disk of this machine
    with desk(tmp_path, queue) as (_, client):
        client.submit(Submission(job=JOB, name="new"))
        for _ in range(3):
            queue.tick()
        (state,) = client.list_jobs()
        assert (state.state, state.message) == ("queued", SENTENCE)
        assert read_order(tmp_path / "new").num_starts == 0
        # A limit that is no longer there leaves no sentence behind once the run is started.
        full.unlink()
        (tmp_path / "new" / "job.yaml").write_text("env: [")  # so that its driver ends at once
        queue.tick()
        order = read_order(tmp_path / "new")
        (driver,) = queue._children
        assert driver.wait() == 1
    assert (order.num_starts, order.waits) == (1, "")


def test_a_job_that_was_stopped_while_it_waited_is_not_ordered_again(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_limit, "MEASURE_INTERVAL_S", 0.0)
    queue = RunQueue(tmp_path, disk_limit=1e-9)
    with desk(tmp_path, queue) as (_, client):
        client.submit(Submission(job=JOB, name="new"))
        order = read_order(tmp_path / "new")
        client.control_job("new", "stop")
    queue._start(tmp_path / "new", order)
    assert read_order(tmp_path / "new") is None and get_run_state(tmp_path / "new")[0] == "stopped"


def test_size_is_that_of_all_files_and_of_no_link(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for path, size in (("one", 10), ("a/two", 200), ("a/b/three", 3000)):
        (tmp_path / path).write_bytes(b"x" * size)
    (tmp_path / "a" / "link").symlink_to("/proc/kcore")
    (tmp_path / "a" / "folder").symlink_to(tmp_path)
    assert 3210 <= measure_size(tmp_path) < 3300
    assert measure_size(tmp_path / "none") == 0


def test_disk_is_measured_again_after_a_while_only(tmp_path, monkeypatch):
    limit = disk_limit.DiskLimit(tmp_path, None)
    (tmp_path / "file").write_bytes(b"x" * 10)
    assert (limit.measure(), limit.explain()) == (10, "")
    (tmp_path / "file").write_bytes(b"x" * 20)
    assert limit.measure() == 10
    monkeypatch.setattr(disk_limit, "MEASURE_INTERVAL_S", 0.0)
    assert limit.measure() == 20


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_below_which_nothing_can_start_is_refused(tmp_path, limit):
    with pytest.raises(InputError, match="--disk-limit must be above 0 GiB"):
        RunQueue(tmp_path, disk_limit=limit)
