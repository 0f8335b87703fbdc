# pyright: basic
"""The fused entropy against the formula."""

import torch

from algos.actions.fused_entropy import fused_entropy


def test_value_and_gradient_equal_the_formula():
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    weights = torch.linspace(-1, 2, 5)
    fused, formula = (logits.clone().requires_grad_() for _ in range(2))
    found = fused_entropy(fused, torch.log_softmax(logits, -1))
    logs = torch.log_softmax(formula, -1)
    expected = -(logs.exp() * logs).sum(-1)
    torch.testing.assert_close(found, expected)
    (weights * found).sum().backward()
    (weights * expected).sum().backward()
    torch.testing.assert_close(fused.grad, formula.grad)


def test_the_log_probabilities_get_no_gradient():
    logits, logs = torch.zeros(1, 3).requires_grad_(), torch.zeros(1, 3).requires_grad_()
    fused_entropy(logits, logs).sum().backward()
    assert logs.grad is None
