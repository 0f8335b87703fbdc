# pyright: basic
"""The clipped surrogate, and its derivative in closed form against autograd's."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algos.losses import clipped_surrogate, clipped_surrogate_slope

SMALL = st.floats(-2, 2, width=32)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=1, max_size=8), st.floats(0.01, 0.9))
def test_the_slope_is_autograds(drawn, clip):
    columns = torch.tensor(drawn).T
    # At a corner of the formula any slope between the two is a gradient: torch takes their mean.
    ratio = (columns[0] - columns[1]).exp()
    logp, old, advantages = columns[:, ((ratio - 1).abs() - clip).abs() >= 1e-4].unbind()
    found = clipped_surrogate_slope(logp.numpy(), old.numpy(), advantages.numpy(), clip)
    logp.requires_grad_()
    clipped_surrogate(logp, old, advantages, clip).sum().backward()
    assert logp.grad is not None
    np.testing.assert_allclose(found, logp.grad.numpy(), rtol=1e-4, atol=1e-5)
    assert found.dtype == np.float32


def test_a_ratio_beyond_the_clip_has_no_gradient():
    logp = torch.tensor([1.5, 0.5, 1.5, 0.5]).log().requires_grad_()
    advantages = torch.tensor([2.0, 2, -2, -2])
    clipped_surrogate(logp, torch.zeros(4), advantages, 0.2).sum().backward()
    # The two rows that went too far earn nothing more; the other two are pulled back with r * A.
    assert logp.grad is not None
    assert logp.grad.tolist() == pytest.approx([0, -1, 3, 0])


def test_a_broken_advantage_stays_visible():
    zero: Any = torch.zeros(1).requires_grad_()
    broken = torch.tensor([math.nan])
    surrogate = clipped_surrogate(zero, torch.zeros(1), broken, 0.2)
    surrogate.backward()
    assert math.isnan(surrogate.item()) and math.isnan(zero.grad.item())
    slope = clipped_surrogate_slope(np.zeros(1), np.zeros(1), broken.numpy(), 0.2)
    assert math.isnan(slope.item())
