# pyright: basic
"""The numbers that a network gives a distribution: each can learn, and none is too extreme."""

import math

import pytest
import torch

from algos.actions.distributions import (
    BetaValue,
    BinnedValue,
    Categorical,
    ChoiceWithValue,
    Gaussian,
    NormalValue,
)

VALUES = [BinnedValue, BetaValue, NormalValue]


@pytest.mark.parametrize("value", VALUES)
def test_both_heads_of_a_choice_with_a_value_learn_from_an_action(value):
    outputs = torch.randn(
        1, 4, 6 if value is BinnedValue else 3, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    dist = ChoiceWithValue(outputs, None, value)
    dist.logp({"choice": torch.tensor([2]), "value": torch.tensor([0.5])}).sum().backward()
    assert outputs.grad is not None
    assert (outputs.grad[0, :, 0] != 0).all()
    assert (outputs.grad[0, 2, 1:] != 0).all()
    assert (outputs.grad[0, [0, 1, 3], 1:] == 0).all()  # values of choices that were not taken


def test_the_gradient_of_the_entropy_is_that_of_finite_differences():
    # A loss that weighs rows differently, one of them with illegal choices; asked for twice, as
    # where the terms of a loss are examined one by one.
    logits = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([True, True, False, True]).expand(3, 2, 4)
    weight = torch.arange(6.0, dtype=torch.float64).reshape(3, 2)

    def loss(given):
        return (Categorical(given).entropy() + weight * Categorical(given, mask).entropy()).sum()

    assert torch.autograd.gradcheck(loss, logits)
    value = loss(logits)
    first, second = (torch.autograd.grad(value, logits, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("value", VALUES)
def test_the_entropy_bonus_reaches_both_heads(value):
    outputs = torch.randn(
        1, 4, 6 if value is BinnedValue else 3, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    ChoiceWithValue(outputs, None, value).entropy().sum().backward()
    assert outputs.grad is not None
    assert (outputs.grad != 0).all()


def test_the_entropy_bonus_reaches_the_deviation_of_a_normal_distribution():
    log_std = torch.zeros(1, 2, requires_grad=True)
    Gaussian(torch.zeros(1, 2), log_std).entropy().sum().backward()
    assert log_std.grad is not None and log_std.grad.tolist() == [[1, 1]]


def test_a_beta_value_is_finite_and_inside_its_range_however_extreme_its_parameters():
    dist = BetaValue(torch.tensor([[40.0, -40], [-40, 40], [1e4, 1e4], [-40, -40]]))
    action = dist.sample(torch.Generator().manual_seed(0))
    assert (action["value"].abs() < 1).all()
    assert torch.isfinite(dist.logp(action)).all()
    assert torch.isfinite(dist.entropy()).all()


def test_the_mode_of_a_beta_value_is_its_peak_and_the_middle_of_a_uniform_one():
    # Parameters a = 1 + log(1 + e^0) = 1.693 and b the same: the peak is in the middle. With b = 1
    # the density rises up to the end. With both 1 it is flat, and the middle is as good as any.
    dist = BetaValue(torch.tensor([[0.0, 0], [3, -40], [-40, 3], [-40, -40]]))
    assert dist.mode()["value"].tolist() == pytest.approx([0, 1, -1, 0], abs=1e-5)


def test_a_normal_value_is_worked_out_by_hand_where_it_is_cut_in_half():
    # Its peak lies at the end (tanh 20 = 1), so that only the lower half is left: twice the density
    # of a normal one. At a deviation of 0.25 below the end that is 2 * N(-1) / 0.25, and the other
    # end, 8 deviations away, cuts off nothing.
    dist = NormalValue(torch.tensor([[20.0, math.log(0.25)]]))
    expected = 2 * math.exp(-0.5) / math.sqrt(2 * math.pi) / 0.25
    assert dist.logp({"value": torch.tensor([0.75])}).item() == pytest.approx(math.log(expected))
    assert dist.mode()["value"].item() == 1


def test_a_normal_value_stays_in_its_range_and_finite_however_extreme_its_parameters():
    params = torch.tensor([[20.0, -10], [-20, -10], [0, -10], [20, 3], [0, 3], [3, 99], [3, -99]])
    dist = NormalValue(params[:, None].expand(-1, 2000, 2).requires_grad_())
    action = dist.sample(torch.Generator().manual_seed(0))
    assert (action["value"].abs() <= 1).all()
    found = torch.cat([dist.logp(action), dist.entropy()])
    assert torch.isfinite(found).all()
    gradient = torch.autograd.grad(found.sum(), dist.mean, retain_graph=True)
    assert torch.isfinite(gradient[0]).all()


def test_the_spread_of_a_normal_value_is_pulled_at_by_what_was_done():
    params = torch.tensor([[0.2, -1.0], [0.2, -1.0]], requires_grad=True)
    NormalValue(params).logp({"value": torch.tensor([0.2, 0.9])}).sum().backward()
    assert params.grad is not None
    assert params.grad[0, 1] < 0 < params.grad[1, 1]  # narrower for the near one, wider for the far
