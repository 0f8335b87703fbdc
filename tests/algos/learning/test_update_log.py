# pyright: basic
"""The metrics of an update, from what was gathered minibatch by minibatch."""

import math

import pytest
import torch

from algos.learning.update_log import SKIPPED_UPDATES, UpdateLog, summarise_grad_norms


def test_gradient_norms_are_summed_up_as_mean_max_and_clipped():
    assert summarise_grad_norms([1.0, 2.0, 6.0], 1.0) == pytest.approx(
        {"grad_norm": 3, "grad_norm_max": 6, "grad_clip_fraction": 2 / 3}
    )
    assert summarise_grad_norms([1.0, 2.0], 0.0)["grad_clip_fraction"] == 0


def test_measured_minibatches_are_averaged():
    log = UpdateLog(epochs=2, grad_norms=[1.0, math.inf])
    log.metrics = [
        {"kl": torch.tensor(0.1), "total_loss": torch.tensor(1.0)},
        {"kl": torch.tensor(0.3), "total_loss": torch.tensor(3.0)},
    ]
    found = log.summarise(0.5, lambda values: values)
    assert found["kl"] == pytest.approx(0.2) and found["kl_max"] == pytest.approx(0.3)
    assert (found["total_loss"], found["updates"], found["epochs_run"]) == (2, 2, 2)
    assert found[SKIPPED_UPDATES] == 1
