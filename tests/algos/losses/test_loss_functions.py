# pyright: basic
"""Losses: their values row by row, and the directions in which they pull."""

import math

import naive
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algos.losses import (
    astar_regression,
    average_over_rows,
    clip_fraction,
    clipped_surrogate,
    dpo_loss,
    kl_estimate,
    sum_loss_terms,
    value_error,
)

EXAMPLES = settings(derandomize=True, max_examples=40)
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


def test_the_value_error_worked_out_by_hand():
    assert value_error(torch.tensor([3.0, 0]), torch.tensor([1.0, 3])).tolist() == [4, 9]


def test_the_kl_estimate_worked_out_by_hand():
    # Ratio 2: 2 - 1 - log 2; ratio 1/2: 1/2 - 1 + log 2; the same policy: 0.
    found = kl_estimate(torch.tensor([2.0, 0.5, 1]).log(), torch.zeros(3))
    assert found.tolist() == pytest.approx([1 - math.log(2), math.log(2) - 0.5, 0])


@EXAMPLES
@given(columns(2))
def test_the_kl_estimate_is_0_only_for_equal_probabilities(drawn):
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


def test_the_kl_gradient_points_back_to_the_old_policy():
    logp = torch.tensor([1.5, 0.5]).log().requires_grad_()
    kl_estimate(logp, torch.zeros(2)).sum().backward()
    assert logp.grad is not None
    assert logp.grad.tolist() == pytest.approx([0.5, -0.5])  # r - 1


@EXAMPLES
@given(st.integers(2, 6), st.integers(0, 2**20))
def test_the_kl_of_grpo_exchanges_the_arguments(choices, seed):
    generator = torch.Generator().manual_seed(seed)
    new, reference = torch.randn(2, choices, generator=generator, dtype=torch.float64).softmax(-1)
    logp = new.log().requires_grad_()
    estimate = kl_estimate(reference.log(), logp)
    expected = naive.kl(new.tolist(), reference.tolist())
    assert (new * estimate).sum().item() == pytest.approx(expected, abs=1e-12)
    estimate.sum().backward()
    assert logp.grad is not None
    torch.testing.assert_close(logp.grad, 1 - reference / new)


# Preferences.


def test_the_dpo_loss_worked_out_by_hand():
    # beta = 0.5; the chosen one gained ln 9 on the reference, the rejected one nothing:
    # sigmoid(0.5 ln 9) = 3 / (3 + 1), so the loss is ln 4 / 3. With the two exchanged it is ln 4.
    gained, nothing = torch.tensor([math.log(9)]), torch.zeros(1)
    found = dpo_loss(gained - 1, nothing - 2, nothing - 1, nothing - 2, 0.5)
    assert found.tolist() == pytest.approx([math.log(4 / 3)])
    assert dpo_loss(nothing, gained, nothing, nothing, 0.5).tolist() == pytest.approx([math.log(4)])


@EXAMPLES
@given(columns(4), st.floats(0.01, 2))
def test_the_dpo_loss_equals_its_naive_twin(drawn, beta):
    expected = naive.dpo_loss(*drawn.tolist(), beta=beta)
    assert dpo_loss(*drawn, beta=beta).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_dpo_gradient_at_the_reference_is_half_of_beta():
    # The logits of one softmax, so that both log-probabilities depend on the same parameters.
    logits = torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64, requires_grad=True)
    logp = logits.log_softmax(-1)
    reference = logp.detach()
    (chosen,) = torch.autograd.grad(logp[0], logits, retain_graph=True)
    (rejected,) = torch.autograd.grad(logp[1], logits, retain_graph=True)
    loss = dpo_loss(logp[:1], logp[1:2], reference[:1], reference[1:2], 0.4)
    (found,) = torch.autograd.grad(loss.sum(), logits)
    torch.testing.assert_close(found, -0.4 / 2 * (chosen - rejected))
    assert loss.item() == pytest.approx(math.log(2))


def test_the_dpo_loss_stays_finite_for_large_wrong_margins():
    assert dpo_loss(*torch.tensor([[-1e4], [0.0], [0.0], [0.0]]), beta=1.0).tolist() == [1e4]


# Regression on the optimal advantage.


def test_the_regression_worked_out_by_hand():
    # beta = 0.5: the log-ratio 2 stands for an advantage of 1; it is 3, so the loss is 2^2.
    found = astar_regression(
        torch.tensor([-1.0]), torch.tensor([-3.0]), torch.tensor([3.0]), beta=0.5
    )
    assert found.tolist() == [4]


@EXAMPLES
@given(columns(3), st.floats(0.01, 2))
def test_the_regression_equals_its_naive_twin(drawn, beta):
    expected = naive.astar_regression(*drawn.tolist(), beta=beta)
    found = astar_regression(*drawn, beta=beta)
    assert found.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def bandit(seed):
    """A policy and rewards [A] of five arms; the exact optimal value for a given beta."""
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(5, generator=generator, dtype=torch.float64).softmax(-1)
    rewards = torch.randn(5, generator=generator, dtype=torch.float64)
    return reference, rewards, lambda r, beta: beta * (reference * (r / beta).exp()).sum().log()


@pytest.mark.parametrize("weights", ["reference", "uniform"])
@pytest.mark.parametrize("beta", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_regression_is_minimal_for_the_optimal_policy(seed, beta, weights):
    reference, rewards, best_value = bandit(seed)
    advantages = rewards - best_value(rewards, beta)
    weight = reference if weights == "reference" else torch.full_like(reference, 0.2)
    logits = reference.log().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        rows = astar_regression(logits.log_softmax(-1), reference.log(), advantages, beta)
        loss = (weight * rows).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    optimal = (reference.log() + rewards / beta).softmax(-1)
    distance = (logits.detach().softmax(-1) - optimal).abs().sum() / 2
    assert distance < 1e-3
    assert (reference - optimal).abs().sum() / 2 > 10 * 1e-3, "nothing had to be learnt"


@EXAMPLES
@given(st.integers(0, 2**20), st.floats(-10, 10), st.floats(0.2, 5))
def test_the_regression_gradient_ignores_a_constant_reward(seed, shift, beta):
    reference, rewards, best_value = bandit(seed)
    gradients = []
    for r in (rewards, rewards + shift):
        logits = torch.linspace(-1, 1, 5, dtype=torch.float64).requires_grad_()
        advantages = r - best_value(r, beta)
        astar_regression(
            logits.log_softmax(-1), reference.log(), advantages, beta
        ).mean().backward()
        gradients.append(logits.grad)
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


def test_the_clip_fraction_counts_ratios_beyond_both_sides():
    logp = torch.tensor([1.0, 1.25, 0.75, 1.15, 0.85, 2.0]).log()
    assert clip_fraction(logp, torch.zeros(6), 0.2).item() == pytest.approx(0.5)
    assert clip_fraction(logp + 3, torch.full((6,), 3.0), 0.2).item() == pytest.approx(0.5)


def test_terms_of_a_loss_are_added_per_row_and_averaged():
    terms = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor(2.0)}
    assert sum_loss_terms(terms).item() == 4


def test_the_loss_of_an_action_is_the_mean_of_its_rows():
    assert average_over_rows(torch.tensor([[1.0, 3.0], [2.0, 2.0]])).tolist() == [2, 2]
    assert average_over_rows(torch.tensor([1.0, 3.0])).tolist() == [1, 3]


def test_a_ratio_beyond_the_clip_has_no_gradient():
    logp = torch.tensor([1.5, 0.5, 1.5, 0.5]).log().requires_grad_()
    advantages = torch.tensor([2.0, 2, -2, -2])
    clipped_surrogate(logp, torch.zeros(4), advantages, 0.2).sum().backward()
    # The two rows that went too far earn nothing more; the other two are pulled back with r * A.
    assert logp.grad is not None
    assert logp.grad.tolist() == pytest.approx([0, -1, 3, 0])
