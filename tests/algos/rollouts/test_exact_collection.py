# pyright: basic
"""Samples of a group of runners that is only pretended, and the watchdog's limits."""

import time

import pytest

from algos.rollouts import runner_group
from algos.rollouts.env_runner import EnvironmentFault
from algos.rollouts.runner_group import (
    AHEAD,
    collect_samples,
    reseed_runners,
    start_sampling_ahead,
    wait_for_restart,
    wait_for_samples_ahead,
)
from algos.rollouts.watchdog import FIRST_S, HANG_FACTOR, Watchdog, take_hang_reports


class Runner:
    def __init__(self, answer):
        self.answer = answer

    def sample(self, **how):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer, how


class Group:
    """What collecting needs of RLlib's EnvRunnerGroup."""

    def __init__(self, *remote, local=None, healthy=()):
        self.remote = [Runner(answer) for answer in remote]
        self.local_env_runner, self.healthy = Runner(local), list(healthy)
        self.calls, self.ready = [], []

    def num_remote_env_runners(self):
        return len(self.remote)

    def num_healthy_remote_workers(self):
        return self.healthy.pop(0)

    def foreach_env_runner(self, work, **how):
        self.calls.append((work, how))
        return [work(runner) for runner in self.remote] if callable(work) else None

    def foreach_env_runner_async(self, work, tag):
        self.calls.append((work, tag))

    def num_in_flight_async_reqs(self, tag):
        assert tag == AHEAD
        return len(self.ready)

    def fetch_ready_async_reqs(self, tags, timeout_seconds):
        assert tags == AHEAD and timeout_seconds > 0
        return self.ready.pop(0)


def test_without_remote_runners_the_drivers_own_samples():
    assert collect_samples(Group(local="own"), {"starts": 3}) == [("own", {"starts": 3})]


def test_each_remote_runner_samples_and_the_drivers_own_does_not():
    group = Group("a", "b", local="own")
    assert collect_samples(group, {"group_size": 2}) == [
        ("a", {"group_size": 2}),
        ("b", {"group_size": 2}),
    ]
    assert group.calls[0][1] == {"local_env_runner": False}


def test_a_fault_of_an_environment_is_handed_over_and_others_are_raised():
    fault = EnvironmentFault("it fell")
    assert collect_samples(Group("a", fault), {}) == [("a", {}), fault]
    with pytest.raises(KeyError):
        collect_samples(Group(KeyError("a bug")), {})


def test_samples_begun_ahead_come_in_the_order_of_the_runners():
    group = Group("a", "b", "c")
    assert wait_for_samples_ahead(group) == []
    start_sampling_ahead(group)
    work, tag = group.calls[0]
    assert tag == AHEAD and work(Runner("a")) == ("a", {})
    group.ready = [{3: "c"}, {}, {1: "a", 2: "b"}]
    assert wait_for_samples_ahead(group) == ["a", "b", "c"]


def revived(healthy, losses, monkeypatch, restart_s=100.0):
    monkeypatch.setattr(runner_group, "RESTART_S", restart_s)
    monkeypatch.setattr(runner_group.time, "sleep", lambda _: None)
    restored, group = [], Group("a", healthy=healthy)
    try:
        wait_for_restart(group, restored.append, losses)
    finally:
        assert all(one is group for one in restored)
    return len(restored)


def test_lost_runners_are_waited_for_until_one_is_back(monkeypatch):
    assert revived([0, 0, 1], 1, monkeypatch) == 3
    assert revived([1], runner_group.MAX_LOSSES, monkeypatch) == 1


def test_runners_that_are_lost_too_often_end_the_training(monkeypatch):
    with pytest.raises(RuntimeError, match="All rollout workers died"):
        revived([1], runner_group.MAX_LOSSES + 1, monkeypatch)


def test_runners_that_do_not_come_back_in_time_end_the_training(monkeypatch):
    with pytest.raises(RuntimeError, match="All rollout workers died"):
        revived([0] * 10, 1, monkeypatch, restart_s=0.0)


def test_new_randomness_goes_to_the_remote_runners_alone():
    group = Group("a")
    reseed_runners(group, 7, [2])
    work, how = group.calls[0]
    assert work == "reseed" and how["kwargs"] == {"restored_at": 7}
    assert (how["local_env_runner"], how["remote_worker_ids"]) == (False, [2])
    assert how["timeout_seconds"] == runner_group.SYNC_TIMEOUT_S
    reseed_runners(group, 7)
    assert group.calls[1][1]["remote_worker_ids"] is None


# The watchdog.


def test_the_first_stretch_may_take_long_and_later_ones_three_times_the_usual(tmp_path):
    dog = Watchdog(tmp_path / "a" / "b", "runner1", 5.0)
    assert dog.limit == FIRST_S and Watchdog(tmp_path, "x", 900.0).limit == 900
    dog.seconds.extend([1, 1, 9])
    assert dog.limit == 5
    dog.seconds.extend([9, 9, 9])
    assert dog.limit == HANG_FACTOR * 9 == 27
    dog.seconds.extend([1] * 20)
    assert len(dog.seconds) == 20 and dog.limit == 5


def test_a_stretch_that_ends_leaves_its_time_and_no_report(tmp_path):
    dog = Watchdog(tmp_path, "runner1", 5.0)
    with dog.watch():
        assert (tmp_path / "runner1.hang").read_text() == "was ended after 600 s\n"
        time.sleep(0.02)
    assert not list(tmp_path.iterdir())
    assert len(dog.seconds) == 1 and 0.02 <= dog.seconds[0] < 1


REPORT = """was ended after 30 s
Thread 0x1 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 1 in wait
  File "/x/site-packages/ray/worker.py", line 2 in run
  File "/home/me/world.py", line 33 in step
  File "/home/me/other.py", line 44 in outer
"""


def test_a_hang_is_reported_once_with_the_users_innermost_line(tmp_path):
    (tmp_path / "runner2.hang").write_text(REPORT)
    (tmp_path / "runner1.hang").write_text("was ended after 9 s\n")  # still under way
    (tmp_path / "trial.hang").write_text(REPORT)
    found = take_hang_reports(tmp_path, "runner")
    assert found == ["runner2 hung in step (/home/me/world.py:33) and was ended after 30 s"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runner1.hang", "trial.hang"]
    assert take_hang_reports(tmp_path, "runner") == []


def test_a_hang_within_libraries_alone_names_their_innermost_line(tmp_path):
    lines = [line for line in REPORT.splitlines() if "/home/me" not in line]
    (tmp_path / "runner1.hang").write_text("\n".join(lines))
    (found,) = take_hang_reports(tmp_path, "runner")
    assert found.startswith("runner1 hung in wait (/usr/lib/python3.11/threading.py:1)")
