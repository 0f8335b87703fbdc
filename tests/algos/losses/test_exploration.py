# pyright: basic
"""Exploration bonuses: in which direction they steer, and the entropies that are measured."""

import math

import naive
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algos.actions.choices import Categorical
from algos.actions.values import Gaussian
from algos.losses import compute_entropy_metrics, compute_exploration_terms, marginal_entropy


def test_only_bonuses_with_a_weight_are_terms_of_the_loss():
    dist = Categorical(torch.tensor([[0.0, 0.0], [0.0, 50.0]]))
    assert compute_exploration_terms(dist, 0.0, 0.0) == {}
    assert set(compute_exploration_terms(dist, 0.1, 0.0)) == {"entropy"}
    terms = compute_exploration_terms(dist, 0.1, 0.2)
    assert terms["entropy"].tolist() == pytest.approx([-0.1 * math.log(2), 0.0])
    spread = -0.2 * (-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    assert terms["diversity"].item() == pytest.approx(spread)


def test_the_entropy_term_is_a_mean_where_rows_are_not_steps():
    dist = Categorical(torch.tensor([[0.0, 0.0], [0.0, 50.0]]))
    terms = compute_exploration_terms(dist, 0.1, 0.0, scalar=True)
    assert terms["entropy"].item() == pytest.approx(-0.05 * math.log(2))


def test_marginal_entropy_is_high_for_certain_but_varied_choices():
    assert marginal_entropy(torch.eye(3)).item() == pytest.approx(math.log(3))
    same = torch.tensor([[0.0, 1, 0]] * 3)
    assert marginal_entropy(same).item() == pytest.approx(0, abs=1e-6)


@settings(derandomize=True, max_examples=30)
@given(st.integers(1, 6), st.integers(2, 5), st.integers(0, 2**20))
def test_the_marginal_entropy_equals_its_naive_twin(B, A, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(B, A, generator=generator).softmax(-1)
    expected = naive.marginal_entropy(rows.tolist())
    assert marginal_entropy(rows).item() == pytest.approx(expected, abs=1e-5)


def test_the_marginal_entropy_pulls_a_concentrated_policy_apart():
    logits = torch.tensor([[3.0, 0], [3, 0]], requires_grad=True)
    marginal_entropy(logits.softmax(-1)).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 0] < 0).all() and (logits.grad[:, 1] > 0).all()


LOGITS = torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, -1.0]])


def test_entropies_are_means_over_the_batch_by_name():
    mask = torch.tensor([[True, True, True], [True, True, False]])
    dist = Categorical(LOGITS, mask)
    p = LOGITS[0].softmax(-1)
    first = -(p * p.log()).sum().item()
    found = {name: value.item() for name, value in compute_entropy_metrics(dist).items()}
    assert found["entropy"] == pytest.approx((first + math.log(2)) / 2)
    assert found["entropy_normalised"] == pytest.approx((first / math.log(3) + 1) / 2)
    expected = marginal_entropy(dist.choice_probabilities()).item()
    assert found["choice_entropy"] == pytest.approx(expected)


def test_a_continuous_action_has_an_entropy_alone():
    dist = Gaussian(torch.zeros(4, 2), torch.zeros(2))
    assert set(compute_entropy_metrics(dist)) == {"entropy"}
    assert compute_entropy_metrics(dist)["entropy"].item() == pytest.approx(
        1 + math.log(2 * math.pi)
    )
