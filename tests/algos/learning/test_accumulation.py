# pyright: basic
"""Gradients gathered over several minibatches make the step that one large minibatch makes."""

from typing import Any

import numpy as np
import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID

BANDIT = "toy_worlds:Bandit-v0"
COMMON: dict[str, Any] = {"num_envs": 8, "rollout_length": 4, "epochs": 2, "lr": 0.01}


def learnt(algo, rows, **changed):
    """The parameters [P] and the optimiser steps after an update on these rows."""
    learner = small.learner(BANDIT, algo=algo, **COMMON | changed)
    prepared = learner.objective.preprocess_batch(rows)[0]
    stats = small.updated(learner, prepared)
    module = learner.module[DEFAULT_MODULE_ID]
    return torch.cat([p.detach().flatten() for p in module.parameters()]), stats


def collected(algo):
    runner = small.runner(BANDIT, algo=algo, **COMMON)
    rows = runner.sample()[0]
    if algo == "astar_po":
        rows = rows.with_columns(v_star=np.linspace(-1, 1, len(rows), dtype=np.float32))
    return rows


@pytest.mark.parametrize("algo", ["ppo", "reinforce", "grpo", "dpo", "astar_po"])
def test_accumulated_minibatches_make_the_step_of_one_large_one(algo):
    rows = collected(algo)
    size = 1 if algo in ("dpo", "astar_po") else 4
    whole, stats = learnt(algo, rows, minibatch_size=2 * size)
    gathered, again = learnt(algo, rows, minibatch_size=size, accumulate=2)
    apart, _ = learnt(algo, rows, minibatch_size=size)
    assert again["updates"] == stats["updates"] > 0
    assert (gathered - whole).abs().max() < 1e-5
    assert (apart - whole).abs().max() > 1e-4


def test_rows_count_alike_in_minibatches_of_different_size():
    rows = collected("ppo")
    ten = rows.select(np.arange(10))
    whole, _ = learnt("ppo", ten, minibatch_size=10)
    gathered, _ = learnt("ppo", ten, minibatch_size=4, accumulate=3)  # 4, 4 and 2
    assert (gathered - whole).abs().max() < 1e-5


def test_minibatches_that_are_left_over_make_a_step_of_their_own():
    rows = collected("ppo").select(np.arange(20))
    _, stats = learnt("ppo", rows, minibatch_size=4, accumulate=3)
    assert stats["updates"] == COMMON["epochs"] * 2  # 3 and 2 minibatches
