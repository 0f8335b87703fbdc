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


def recorded(*minibatches):
    log = UpdateLog(epochs=2, grad_norms=[1.0, math.inf])
    for kl, rows in minibatches:
        log.record({"kl": torch.tensor(kl), "total_loss": torch.tensor(10 * kl)}, rows)
    return log


def test_measured_minibatches_are_averaged_by_their_rows():
    found = recorded((0.1, 6), (0.3, 2)).summarise(0.5, lambda values: values)
    assert found["kl"] == pytest.approx(0.15) and found["kl_max"] == pytest.approx(0.3)
    assert found["total_loss"] == pytest.approx(1.5)
    assert (found["updates"], found["epochs_run"], found[SKIPPED_UPDATES]) == (2, 2, 1)


def test_minibatches_of_two_learners_are_averaged_by_their_rows():
    one, other = recorded((0.1, 6), (0.3, 2)), recorded((0.5, 2), (0.7, 1))
    shared = []
    one.summarise(0.5, lambda values: shared.append(values) or values)
    found = other.summarise(0.5, lambda values: values + shared[0])
    assert found["kl"] == pytest.approx((0.6 + 0.6 + 1.0 + 0.7) / 11)
    # Of the two minibatches, of 8 and 3 rows.
    assert found["kl_max"] == pytest.approx((0.6 + 0.7) / 3)
