# pyright: basic
"""What a learner does with its gradients and reports of them, worked out by hand."""

import math

import pytest
import torch

from algos.learning.gradients import (
    TrainedParts,
    _clip_gradients,
    compute_term_grad_norms,
    compute_update_ratio,
    step_optimisers,
)


def test_gradients_are_scaled_to_the_limit_and_not_beyond():
    one, two = torch.tensor([3.0]), torch.tensor([[4.0]])
    assert _clip_gradients([one, two], 0.0) == 5 and (one.item(), two.item()) == (3, 4)
    assert _clip_gradients([one, two], 5.0) == 5 and one.item() == 3
    assert _clip_gradients([one, two], 2.5) == 5
    assert (one.item(), two.item()) == pytest.approx((1.5, 2), rel=1e-5)
    alone = torch.tensor([3.0, 4.0])
    assert _clip_gradients([alone], 1.0) == 5 and alone.tolist() == pytest.approx(
        [0.6, 0.8], rel=1e-5
    )
    broken = torch.tensor([math.inf])
    assert _clip_gradients([broken, one], 1.0) == math.inf and one.item() == pytest.approx(1.5)


def test_a_step_on_broken_gradients_is_skipped_and_cleared():
    p = torch.nn.Parameter(torch.tensor([1.0]))
    unused = torch.nn.Parameter(torch.tensor([1.0]))
    stepper = torch.optim.SGD([p], lr=1.0)
    p.grad = torch.tensor([0.5])
    trained = TrainedParts(lambda inputs: {}, [p, unused], [stepper], on_numpy=False)
    assert step_optimisers(trained, 0.0) == 0.5
    assert p.item() == 0.5 and p.grad is None
    p.grad = torch.tensor([math.nan])
    assert math.isnan(step_optimisers(trained, 0.0))
    assert p.item() == 0.5 and p.grad is None


def test_each_terms_gradient_is_measured_by_itself():
    a, b = torch.nn.Parameter(torch.tensor([1.0, 2.0])), torch.nn.Parameter(torch.tensor(1.0))
    terms = {"both": 3 * a.sum() + 4 * b, "mean": 2 * a, "detached": a.detach()}
    found = compute_term_grad_norms(terms, [a, b])
    expected = {"both": math.sqrt(9 + 9 + 16), "mean": math.sqrt(2), "detached": 0}
    assert found == pytest.approx({f"grad_norm_{name}": v for name, v in expected.items()})


def test_a_change_is_over_the_norm_of_what_was_there():
    before = [torch.tensor([3.0]), torch.tensor([4.0])]
    after = [torch.nn.Parameter(torch.tensor([x])) for x in (3.0, 5.0)]
    assert compute_update_ratio(before, after) == pytest.approx(0.2)
    assert compute_update_ratio([torch.zeros(1)], [torch.nn.Parameter(torch.zeros(1))]) == 0
