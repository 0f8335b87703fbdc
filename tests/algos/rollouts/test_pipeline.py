# pyright: basic
"""Collecting during the update: exactly one update behind, and nothing is lost or left over."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import small
import torch

from algos.rollouts.rollout_io import read_columns
from algos.rollouts.runner_group import AHEAD, wait_for_samples_ahead
from envs.validation import InputError

pytestmark = pytest.mark.usefixtures("local_ray")

ITERATIONS = 5


def pids(algorithm):
    return algorithm.env_runner_group.foreach_env_runner(
        lambda runner: os.getpid(), local_env_runner=False
    )


def in_flight(algorithm):
    return algorithm.env_runner_group.num_in_flight_async_reqs(AHEAD)


def run(folder, **changed):
    """Weights before the first and after each iteration, env steps and requests in flight."""
    remote = {"num_env_runners": 2, "lr": 0.01, "record": str(folder), "iterations": ITERATIONS}
    with small.algorithm("toy_worlds:Drawing-v0", **remote, **changed) as algorithm:
        weights, steps, flying = [small.learner_weights(algorithm)], [], []
        for _ in range(ITERATIONS):
            algorithm.train()
            weights.append(small.learner_weights(algorithm))
            steps.append(algorithm.flat_metrics["env_steps"])
            flying.append(in_flight(algorithm))
    return weights, steps, flying


def ages(folder, weights):
    """By iteration: how many updates old the weights were that its rows were sampled with."""
    module = small.runner("toy_worlds:Drawing-v0").module
    found = []
    for i, path in enumerate(sorted(Path(folder).rglob("*.parquet"))):
        rows = read_columns(path).to_torch()
        fits = []
        for number, state in enumerate(weights):
            module.set_state(state)
            with torch.no_grad():
                logp = module._forward(rows)["dist"].logp(rows)
            if torch.allclose(logp, rows["logp"], atol=1e-6):
                fits.append(i - number)
        assert len(fits) == 1  # all rows of both runners, and no other weights would do
        found += fits
    return found


def test_a_pipelined_batch_is_exactly_one_update_old(tmp_path):
    piped, straight = tmp_path / "piped", tmp_path / "straight"
    weights, steps, flying = run(piped, pipeline=True)
    # Nothing can be older than the beginning.
    assert ages(piped, weights) == [0, 1, 1, 1, 1]
    # Both runners collect during each update but the last, after which nothing is left over.
    assert flying == [2, 2, 2, 2, 0]
    others, same_steps, none = run(straight)
    assert ages(straight, others) == [0, 0, 0, 0, 0]
    assert steps == same_steps == [32, 64, 96, 128, 160]
    assert none == [0] * ITERATIONS
    # Each runner has randomness of its own, whatever it is sent.
    for folder in (piped, straight):
        rows = read_columns(next(iter(folder.iterdir())))
        half = (rows["episode"] >> 53) == 1
        assert half.sum() == 80
        assert (rows["choice"][half] != rows["choice"][~half]).any()
        assert not np.isin(rows["obs"][half], rows["obs"][~half]).any()


@pytest.mark.system
def test_a_runner_that_dies_while_ahead_costs_no_iteration(tmp_path):
    slow = {"env_kwargs": {"seconds": 0.02}, "num_env_runners": 2, "iterations": 30}
    with small.algorithm("toy_worlds:Slow-v0", pipeline=True, record=str(tmp_path), **slow) as a:
        first, _ = pids(a)
        learn = a._learn

        def killing(*given):
            assert in_flight(a) == 2  # a sample takes longer than getting here
            os.kill(first, signal.SIGKILL)
            return learn(*given)

        a._learn = killing
        a.train()
        a._learn = learn
        assert in_flight(a) == 1
        for _ in range(28):
            steps = a.env_steps
            a.train()
            assert a.env_steps >= steps + 32
            if a.env_runner_group.num_healthy_remote_workers() == 2 and in_flight(a) == 2:
                break
        assert in_flight(a) == 2
        assert a.flat_metrics["runners_lost"] == 0
        # What the restarted runner lives through is new.
        episodes = read_columns(next(tmp_path.iterdir()))
        assert len(np.unique(episodes["obs"])) == len(episodes)


class Racing:
    """Runners of which the last is done first."""

    def __init__(self):
        self.waiting = [1, 0, 2]

    def num_in_flight_async_reqs(self, tag):
        return len(self.waiting)

    def fetch_ready_async_reqs(self, **how):
        runner = self.waiting.pop()
        return [(runner, f"sample of runner {runner}")]


def test_samples_are_ordered_by_runner_not_by_arrival():
    # The same seed must give the same batches.
    assert wait_for_samples_ahead(Racing()) == [f"sample of runner {i}" for i in range(3)]


def test_what_was_collected_ahead_is_forgotten_by_a_restore(tmp_path):
    remote = {"num_env_runners": 1, "lr": 0.01, "record": str(tmp_path / "record")}
    with small.algorithm("toy_worlds:Drawing-v0", pipeline=True, **remote) as algorithm:
        algorithm.train()
        algorithm.save_to_path(str(tmp_path / "checkpoint"))
        saved = small.learner_weights(algorithm)
        algorithm.train()
        assert in_flight(algorithm) == 1
        algorithm.restore_from_path(str(tmp_path / "checkpoint"))
        assert in_flight(algorithm) == 0
        algorithm.train()
        module = small.runner("toy_worlds:Drawing-v0").module
        module.set_state(saved)
        rows = read_columns(sorted((tmp_path / "record").rglob("*.parquet"))[1]).to_torch()
        with torch.no_grad():
            logp = module._forward(rows)["dist"].logp(rows)
        assert torch.allclose(logp, rows["logp"], atol=1e-6)


def test_a_pipeline_estimates_v_star_from_the_starts_asked_for():
    # What is collected ahead knows nothing of the starts of A*-PO's first stage.
    chosen = {"algo": "astar_po", "num_env_runners": 1, "starts": 6, "pipeline": True}
    with small.algorithm("toy_worlds:Drawing-v0", iterations=2, **chosen) as algorithm:
        algorithm.train()
        assert sorted(algorithm.v_star.values) == list(range(6)) and in_flight(algorithm) == 1
        assert np.isfinite(algorithm.flat_metrics["advantage_mean"])
        algorithm.train()
        assert np.isfinite(algorithm.flat_metrics["advantage_mean"]) and in_flight(algorithm) == 0


def test_a_pipeline_without_remote_runners_is_refused():
    with pytest.raises(InputError, match="pipeline needs remote runners: set num_env_runners"):
        small.settings(pipeline=True)
