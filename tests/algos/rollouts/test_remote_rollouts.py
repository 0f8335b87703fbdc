# pyright: basic
"""Rollouts of remote runners: by the current weights, and each by randomness of its own."""

import numpy as np
import pytest
import small
import torch

from algos.rollouts.rollout_io import read_columns

pytestmark = pytest.mark.system

ITERATIONS = 3


@pytest.mark.usefixtures("local_ray")
def test_remote_rows_are_sampled_by_the_current_weights_and_differ_by_runner(tmp_path):
    remote = {"num_env_runners": 2, "lr": 0.01, "record": str(tmp_path), "iterations": ITERATIONS}
    weights = []
    with small.algorithm("toy_worlds:Drawing-v0", **remote) as algorithm:
        for _ in range(ITERATIONS):
            weights.append(small.learner_weights(algorithm))
            algorithm.train()
    module = small.runner("toy_worlds:Drawing-v0").module
    recordings = sorted(tmp_path.rglob("*.parquet"))
    assert len(recordings) == ITERATIONS
    for i, path in enumerate(recordings):
        rows = read_columns(path)
        fits = []
        for state in weights:
            module.set_state(state)
            with torch.no_grad():
                logp = module._forward(rows.to_torch())["dist"].logp(rows.to_torch())
            fits.append(torch.allclose(logp, rows.to_torch()["logp"], atol=1e-6))
        assert fits == [j == i for j in range(ITERATIONS)]
        half = (rows["episode"] >> 53) == 1
        assert half.sum() == 16
        assert (rows["choice"][half] != rows["choice"][~half]).any()
        assert not np.isin(rows["obs"][half], rows["obs"][~half]).any()
