# pyright: basic
"""Losses: their values row by row, and the directions in which they pull."""

import math

import naive
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algos.losses import clipped_surrogate, kl_estimate, value_loss

EXAMPLES = settings(derandomize=True, max_examples=40, deadline=None)
SMALL = st.floats(-2, 2, width=32)


def columns(count):
    row = st.tuples(*[SMALL] * count)
    return st.lists(row, min_size=1, max_size=8).map(lambda rows: torch.tensor(rows).T)


def test_the_surrogate_worked_out_by_hand_for_both_signs():
    # Ratios 1.5, 0.5, 1.5, 0.5 with clip 0.2 and advantages 2, 2, -2, -2:
    # -min(3, 2.4) = -2.4;  -min(1, 1.6) = -1;  -min(-3, -2.4) = 3;  -min(-1, -1.6) = 1.6
    ratio = torch.tensor([1.5, 0.5, 1.5, 0.5])
    found = clipped_surrogate(ratio.log(), torch.zeros(4), torch.tensor([2.0, 2, -2, -2]), 0.2)
    assert found.tolist() == pytest.approx([-2.4, -1, 3, 1.6])


@EXAMPLES
@given(columns(3), st.floats(0.01, 0.9))
def test_the_surrogate_equals_its_naive_twin(drawn, clip):
    expected = naive.clipped_surrogate(*drawn.tolist(), clip=clip)
    logp, logp_old, advantages = drawn
    assert clipped_surrogate(logp, logp_old, advantages, clip).tolist() == pytest.approx(
        expected, rel=1e-4, abs=1e-5
    )


def test_a_ratio_beyond_the_clip_in_the_direction_of_its_advantage_has_no_gradient():
    logp = torch.tensor([1.5, 0.5, 1.5, 0.5]).log().requires_grad_()
    clipped_surrogate(logp, torch.zeros(4), torch.tensor([2.0, 2, -2, -2]), 0.2).sum().backward()
    # The two rows that went too far earn nothing more; the other two are pulled back with r * A.
    assert logp.grad is not None
    assert logp.grad.tolist() == pytest.approx([0, -1, 3, 0])


def test_the_value_loss_worked_out_by_hand():
    # Value 3, return 1: half of 2^2. From the old value 0 it may move to 0.5 only, whose error
    # (0.5) is smaller; from the old value 4 to 3.5 only, whose error 2.5 counts.
    values, returns, old = torch.tensor([3.0, 3]), torch.tensor([1.0, 1]), torch.tensor([0.0, 4])
    assert value_loss(values, returns, old, 0.0).tolist() == [2, 2]
    assert value_loss(values, returns, old, 0.5).tolist() == [2, 0.5 * 2.5**2]


@EXAMPLES
@given(columns(3), st.sampled_from([0.0, 0.1, 1.0]))
def test_the_value_loss_equals_its_naive_twin(drawn, clip):
    expected = naive.value_loss(*drawn.tolist(), clip=clip)
    values, returns, old = drawn
    assert value_loss(values, returns, old, clip).tolist() == pytest.approx(
        expected, rel=1e-4, abs=1e-5
    )


def test_a_clipped_value_that_went_too_far_towards_its_return_has_no_gradient():
    # From 4 the value went down to 2 (return 1), further than 0.5: the clipped error counts.
    values = torch.tensor([2.0], requires_grad=True)
    value_loss(values, torch.tensor([1.0]), torch.tensor([4.0]), 0.5).sum().backward()
    assert values.grad is not None and values.grad.tolist() == [0]


def test_the_kl_estimate_worked_out_by_hand():
    # Ratio 2: 2 - 1 - log 2; ratio 1/2: 1/2 - 1 + log 2; the same policy: 0.
    found = kl_estimate(torch.tensor([2.0, 0.5, 1]).log(), torch.zeros(3))
    assert found.tolist() == pytest.approx([1 - math.log(2), math.log(2) - 0.5, 0])


@EXAMPLES
@given(columns(2))
def test_the_kl_estimate_is_never_negative_and_0_only_for_equal_probabilities(drawn):
    logp, old = drawn.double()
    found = kl_estimate(logp, old)
    assert (found >= -1e-15).all()
    assert (found[(logp - old).abs() > 1e-3] > 0).all()
    assert (kl_estimate(old, old) == 0).all()


@EXAMPLES
@given(st.integers(2, 6), st.integers(0, 2**20))
def test_the_expectation_of_the_kl_estimate_is_the_kl_divergence(choices, seed):
    generator = torch.Generator().manual_seed(seed)
    old, new = torch.randn(2, choices, generator=generator, dtype=torch.float64).softmax(-1)
    expectation = (old * kl_estimate(new.log(), old.log())).sum()
    assert float(expectation) == pytest.approx(naive.kl(old.tolist(), new.tolist()), abs=1e-12)


def test_the_kl_estimate_pulls_the_new_policy_back_to_the_old_one():
    logp = torch.tensor([1.5, 0.5]).log().requires_grad_()
    kl_estimate(logp, torch.zeros(2)).sum().backward()
    assert logp.grad is not None
    assert logp.grad.tolist() == pytest.approx([0.5, -0.5])  # r - 1
