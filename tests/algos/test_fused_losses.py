# pyright: basic
"""The fused nodes against the formulas that they stand for."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algos.fused_losses import fused_clipped_surrogate
from algos.losses import clipped_surrogate

SMALL = st.floats(-2, 2, width=32)


def value_and_gradient(surrogate, drawn, clip):
    logp, logp_old, advantages = drawn.clone().requires_grad_().unbind()
    logp = logp.detach().requires_grad_()
    loss = surrogate(logp, logp_old.detach(), advantages.detach(), clip)
    loss.sum().backward()
    return loss.detach(), logp.grad


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=1, max_size=8), st.floats(0.01, 0.9))
def test_the_fused_surrogate_equals_the_formula(drawn, clip):
    columns = torch.tensor(drawn).T
    # At a corner of the formula any slope between the two is a gradient: torch takes their mean.
    ratio = (columns[0] - columns[1]).exp()
    corner = ((ratio - 1).abs() - clip).abs() < 1e-4
    columns = columns[:, ~corner]
    fused, formula = (
        value_and_gradient(surrogate, columns, clip)
        for surrogate in (fused_clipped_surrogate, clipped_surrogate)
    )
    torch.testing.assert_close(fused[0], formula[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fused[1], formula[1], rtol=1e-4, atol=1e-5)


def test_a_ratio_beyond_the_clip_has_no_gradient():
    logp = torch.tensor([1.5, 0.5, 1.5, 0.5]).log().requires_grad_()
    advantages = torch.tensor([2.0, 2, -2, -2])
    fused_clipped_surrogate(logp, torch.zeros(4), advantages, 0.2).sum().backward()
    # The two rows that went too far earn nothing more; the other two are pulled back with r * A.
    assert logp.grad is not None
    assert logp.grad.tolist() == pytest.approx([0, -1, 3, 0])


def test_only_the_new_log_probability_gets_a_gradient():
    logp, old, advantages = torch.ones(3, 2).requires_grad_().unbind()
    for part in (logp, old, advantages):
        part.retain_grad()
    fused_clipped_surrogate(logp, old, advantages, 0.2).sum().backward()
    assert logp.grad is not None and old.grad is None and advantages.grad is None


def test_a_broken_advantage_stays_visible():
    zero = torch.zeros(1)
    assert math.isnan(fused_clipped_surrogate(zero, zero, torch.tensor([math.nan]), 0.2).item())
