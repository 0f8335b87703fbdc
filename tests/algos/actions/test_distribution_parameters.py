# pyright: basic
"""The numbers that a network gives a distribution: each can learn, and none is too extreme."""

import math

import pytest
import torch

from algos.actions.choice_values import BetaValue, BinnedValue, NormalValue
from algos.actions.choice_with_value import ChoiceWithValue
from algos.actions.choices import Categorical, MultiCategorical
from algos.actions.head import select_part_columns
from algos.actions.kinds import ProductDistribution
from algos.actions.values import Gaussian

VALUES = [BinnedValue, BetaValue, NormalValue]


@pytest.mark.parametrize("value", VALUES)
def test_choice_and_value_both_get_a_gradient_from_an_action(value):
    outputs = torch.randn(
        1, 4, 6 if value is BinnedValue else 3, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    dist = ChoiceWithValue(outputs, None, value)
    dist.logp({"choice": torch.tensor([2]), "value": torch.tensor([0.5])}).sum().backward()
    assert outputs.grad is not None
    assert (outputs.grad[0, :, 0] != 0).all()
    assert (outputs.grad[0, 2, 1:] != 0).all()
    assert (outputs.grad[0, [0, 1, 3], 1:] == 0).all()  # values of choices that were not taken


def test_the_entropy_gradient_agrees_with_finite_differences():
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


def test_the_entropy_bonus_reaches_the_deviation_of_a_normal():
    log_std = torch.zeros(1, 2, requires_grad=True)
    Gaussian(torch.zeros(1, 2), log_std).entropy().sum().backward()
    assert log_std.grad is not None and log_std.grad.tolist() == [[1, 1]]


def test_a_beta_value_stays_in_range_for_extreme_parameters():
    dist = BetaValue(torch.tensor([[40.0, -40], [-40, 40], [1e4, 1e4], [-40, -40]]))
    action = dist.sample(torch.Generator().manual_seed(0))
    assert (action["value"].abs() < 1).all()
    assert torch.isfinite(dist.logp(action)).all()
    assert torch.isfinite(dist.entropy()).all()


def test_the_mode_of_a_beta_value_is_its_peak_or_the_middle():
    # Parameters a = 1 + log(1 + e^0) = 1.693 and b the same: the peak is in the middle. With b = 1
    # the density rises up to the end. With both 1 it is flat, and the middle is as good as any.
    dist = BetaValue(torch.tensor([[0.0, 0], [3, -40], [-40, 3], [-40, -40]]))
    assert dist.mode()["value"].tolist() == pytest.approx([0, 1, -1, 0], abs=1e-5)


def test_a_normal_value_cut_in_half_has_the_density_by_hand():
    # Its peak lies at the end (tanh 20 = 1), so that only the lower half is left: twice the density
    # of a normal one. At a deviation of 0.25 below the end that is 2 * N(-1) / 0.25, and the other
    # end, 8 deviations away, cuts off nothing.
    dist = NormalValue(torch.tensor([[20.0, math.log(0.25)]]))
    expected = 2 * math.exp(-0.5) / math.sqrt(2 * math.pi) / 0.25
    assert dist.logp({"value": torch.tensor([0.75])}).item() == pytest.approx(math.log(expected))
    assert dist.mode()["value"].item() == 1


def test_a_normal_value_stays_in_range_for_extreme_parameters():
    params = torch.tensor([[20.0, -10], [-20, -10], [0, -10], [20, 3], [0, 3], [3, 99], [3, -99]])
    dist = NormalValue(params[:, None].expand(-1, 2000, 2).requires_grad_())
    action = dist.sample(torch.Generator().manual_seed(0))
    assert (action["value"].abs() <= 1).all()
    found = torch.cat([dist.logp(action), dist.entropy()])
    assert torch.isfinite(found).all()
    gradient = torch.autograd.grad(found.sum(), dist.mean, retain_graph=True)
    assert torch.isfinite(gradient[0]).all()


def test_the_spread_of_a_normal_value_gets_a_gradient():
    params = torch.tensor([[0.2, -1.0], [0.2, -1.0]], requires_grad=True)
    NormalValue(params).logp({"value": torch.tensor([0.2, 0.9])}).sum().backward()
    assert params.grad is not None
    assert params.grad[0, 1] < 0 < params.grad[1, 1]  # narrower for the near one, wider for the far


LOGITS = torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, -1.0]])


def test_the_highest_entropy_is_that_of_the_legal_choices():
    assert Categorical(LOGITS).max_entropy().tolist() == pytest.approx([math.log(3)] * 2)
    mask = torch.tensor([[True, False, True], [True, True, True]])
    highest = Categorical(LOGITS, mask).max_entropy().tolist()
    assert highest == pytest.approx([math.log(2), math.log(3)])
    both = MultiCategorical([Categorical(LOGITS), Categorical(LOGITS[:, :2])])
    assert (most := both.max_entropy()) is not None and most.tolist() == pytest.approx(
        [math.log(6)] * 2
    )
    most = ProductDistribution({"a": both, "b": Categorical(LOGITS)}).max_entropy()
    assert most is not None and most.tolist() == pytest.approx([math.log(18)] * 2)
    assert ProductDistribution({"a": both, "b": Gaussian(LOGITS, LOGITS[0])}).max_entropy() is None
    for value in (BetaValue, NormalValue):
        found = value(torch.zeros(2, 2)).max_entropy()
        assert found.tolist() == pytest.approx([math.log(2)] * 2)
    assert BinnedValue(torch.zeros(2, 21)).max_entropy().tolist() == pytest.approx(
        [math.log(21)] * 2
    )


def test_modes_are_the_most_likely_actions():
    assert Categorical(LOGITS).mode()["choice"].tolist() == [2, 0]
    both = MultiCategorical([Categorical(LOGITS), Categorical(-LOGITS)])
    assert both.mode()["choices"].tolist() == [[2, 0], [0, 2]]
    assert Gaussian(LOGITS, LOGITS[0]).mode()["value"] is not None
    torch.testing.assert_close(Gaussian(LOGITS, LOGITS[0]).mode()["value"], LOGITS)
    joined = ProductDistribution(
        {"a": Categorical(LOGITS), "b": Gaussian(LOGITS, LOGITS[0])}
    ).mode()
    assert set(joined) == {"a.choice", "b.value"}
    assert BinnedValue(LOGITS).mode()["value"].tolist() == [1, -1]


def test_a_gaussian_has_the_density_of_the_textbook():
    dist = Gaussian(torch.tensor([[1.0, -1.0]]), torch.tensor([0.5, 0.0]))
    torch_own = torch.distributions.Normal(
        torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.0]).exp()
    )
    value = torch.tensor([[0.3, 0.4]])
    assert dist.logp({"value": value}).item() == pytest.approx(
        torch_own.log_prob(value).sum().item()
    )
    assert dist.entropy().item() == pytest.approx(torch_own.entropy().sum().item())
    assert Gaussian(LOGITS, torch.tensor([-50.0, 50, 0])).log_std.tolist() == [-10, 3, 0]


def test_a_binned_value_is_taken_at_the_nearest_grid_point():
    dist = BinnedValue(torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]]))
    shares = torch.arange(5.0).log_softmax(-1).tolist()
    for value, place in ((-1.0, 0), (-0.8, 0), (-0.7, 1), (0.1, 2), (0.5, 3), (1.0, 4)):
        found = dist.logp({"value": torch.tensor([value])}).item()
        assert found == pytest.approx(shares[place])


@pytest.mark.parametrize("value", [BetaValue, NormalValue])
def test_a_density_over_values_sums_to_one_and_has_its_entropy(value):
    dist = value(torch.tensor([0.3, -0.5]).expand(20_001, 2))
    grid = torch.linspace(-1 + 1e-5, 1 - 1e-5, 20_001)
    logp = dist.logp({"value": grid}).double()
    assert torch.trapezoid(logp.exp(), grid).item() == pytest.approx(1, abs=1e-3)
    found = -torch.trapezoid(logp.exp() * logp, grid).item()
    assert dist.entropy()[0].item() == pytest.approx(found, abs=2e-3)
    best = grid[logp.argmax()].item()
    assert dist.mode()["value"][0].item() == pytest.approx(best, abs=1e-3)


def test_a_choice_with_a_value_has_the_entropy_of_both():
    outputs = torch.cat([LOGITS[..., None], torch.zeros(2, 3, 2)], -1)
    dist = ChoiceWithValue(outputs, None, NormalValue)
    value = NormalValue(torch.zeros(2)).entropy().item()
    expected = Categorical(LOGITS).entropy() + value
    torch.testing.assert_close(dist.entropy(), expected)
    torch.testing.assert_close(dist.max_entropy(), torch.full((2,), math.log(3) + math.log(2)))
    torch.testing.assert_close(dist.choice_probabilities(), LOGITS.softmax(-1))
    assert dist.mode()["choice"].tolist() == [2, 0]


def test_columns_of_a_part_lose_its_name_and_others_are_left_out():
    action = {"a.choice": 1, "ab.choice": 2, "a.b.value": 3}
    assert select_part_columns("a", action) == {"choice": 1, "b.value": 3}
