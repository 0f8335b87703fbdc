# pyright: basic
"""Samples of a group of runners that is only pretended: faults and restarts."""

from typing import Any

import numpy as np
import pytest
import small

from algos.rollouts import runner_group
from algos.rollouts.environment_fault import EnvironmentFault
from algos.rollouts.runner_group import (
    collect_samples,
    reseed_runners,
    wait_for_restart,
)


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
        self.local_env_runner: Any = Runner(local)
        self.healthy = list(healthy)
        self.calls = []

    def num_remote_env_runners(self):
        return len(self.remote)

    def num_healthy_remote_workers(self):
        return self.healthy.pop(0)

    def foreach_env_runner(self, work, **how):
        self.calls.append((work, how))
        return [work(runner) for runner in self.remote] if callable(work) else None


def test_without_remote_runners_the_drivers_own_samples():
    assert collect_samples(Group(local="own"), {"starts": 3}) == [("own", {"starts": 3})]


def test_each_remote_runner_samples_and_the_drivers_own_does_not():
    group = Group("a", "b", local="own")
    assert collect_samples(group, {"group_size": 2}) == [
        ("a", {"group_size": 2}),
        ("b", {"group_size": 2}),
    ]
    assert group.calls[0][1] == {"local_env_runner": False}


def test_environment_faults_are_returned_and_others_raised():
    fault = EnvironmentFault("it fell")
    assert collect_samples(Group("a", fault), {}) == [("a", {}), fault]
    with pytest.raises(KeyError):
        collect_samples(Group(KeyError("a bug")), {})


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


def test_new_randomness_goes_to_restarted_runners():
    group = Group("a")
    group.local_env_runner = None
    reseed_runners(group, 7, [2])
    work, how = group.calls[0]
    assert work == "reseed" and how["kwargs"] == {"restored_at": 7}
    assert (how["local_env_runner"], how["remote_worker_ids"]) == (False, [2])
    assert how["timeout_seconds"] == runner_group.SYNC_TIMEOUT_S
    reseed_runners(group, 7)
    assert group.calls[1][1]["remote_worker_ids"] is None


@pytest.mark.parametrize("env", ["CartPole-v1", "envs:CausalLearning-v0"])
def test_after_a_restore_only_an_environment_without_state_starts_elsewhere(env):
    group, runner = Group(), small.runner(env)
    group.local_env_runner, first = runner, runner.observation
    reseed_runners(group, 7)
    same = {name: np.array_equal(seen, runner.observation[name]) for name, seen in first.items()}
    assert all(same.values()) == (env != "CartPole-v1")
    reseed_runners(group, 8, [2])  # a remote one was restarted: this one continues
    assert runner.restored_at in (0, 7)


def test_after_a_restore_seeded_episodes_are_drawn_as_they_would_have_been():
    group, runner = Group(), small.runner("CartPole-v1", algo="grpo")
    group.local_env_runner = runner
    reseed_runners(group, 7)
    assert runner.restored_at == 0
