# pyright: basic
"""Remote runners that are all lost at the same moment."""

import os
import signal
import time

import pytest
import small

from algos.rollouts import runner_group

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("local_ray")]


def test_training_waits_when_all_runners_are_lost_at_once():
    with small.algorithm("toy_worlds:Drawing-v0", num_env_runners=2, lr=0.01) as algorithm:
        algorithm.train()
        for runner in algorithm.env_runner_group.foreach_env_runner(
            lambda runner: os.getpid(), local_env_runner=False
        ):
            os.kill(runner, signal.SIGKILL)
        started, steps = time.monotonic(), algorithm.env_steps
        algorithm.train()
        print(f"\nboth runners lost: the iteration took {time.monotonic() - started:.1f} s")
        assert algorithm.iteration == 2 and algorithm.env_steps == steps + 32
        held = algorithm.env_runner_group.foreach_env_runner(
            lambda runner: runner.module.get_state(), local_env_runner=False
        )
        own = small.learner_weights(algorithm)
        assert held and all(small.same_weights(weights, own) for weights in held)


def test_an_environment_that_ends_every_runner_ends_the_training(monkeypatch):
    monkeypatch.setattr(runner_group, "MAX_LOSSES", 1)  # each costs the seconds of a start
    with (
        small.algorithm("toy_worlds:Exiting-v0", num_env_runners=1) as algorithm,
        pytest.raises(RuntimeError, match="All rollout workers died"),
    ):
        algorithm.train()
