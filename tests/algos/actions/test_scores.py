# pyright: basic
"""What is differentiated by hand equals what autograd finds of the distributions."""

import numpy as np
import pytest
import torch
from action_cases import CHOICE_WITH_VALUE, SPACES, case
from gymnasium import spaces

from algos.actions.kinds import make_action_head


def pull_by_autograd(head, outputs, log_std, mask, action, by_logp, by_entropy):
    given = outputs.clone().requires_grad_(), log_std.clone().requires_grad_()
    dist = head.dist(*given, mask)
    logp, entropy = dist.logp(action), dist.entropy()
    total = (by_logp * logp).sum() + (by_entropy * entropy).sum()
    found = torch.autograd.grad(total, given, allow_unused=True)
    kept = [
        torch.zeros_like(part) if gradient is None else gradient
        for part, gradient in zip(given, found, strict=True)
    ]
    scored = logp.detach().numpy(), entropy.detach().numpy()
    return *scored, *(part.numpy() for part in kept)


def score(head, outputs, log_std, mask, action):
    arrays = {name: part.numpy() for name, part in action.items()}
    legal = None if mask is None else mask.numpy()
    return head.score(outputs.numpy(), arrays, log_std.numpy(), legal)


@pytest.mark.parametrize("by_entropy", [0.0, -0.02, torch.linspace(-1, 1, 7)], ids=str)
@pytest.mark.parametrize("name", SPACES)
def test_scores_and_what_they_pull_back_are_autograds(name, by_entropy):
    made = case(SPACES[name])
    by_logp = torch.randn(7, generator=torch.Generator().manual_seed(1))
    scores = score(*made)
    logp, entropy, *expected = pull_by_autograd(*made, by_logp, by_entropy)
    np.testing.assert_allclose(scores.logp, logp, atol=2e-6)
    np.testing.assert_allclose(scores.entropy, entropy, atol=2e-6)
    for mine, theirs in zip(
        scores.backpropagate(by_logp.numpy(), np.asarray(by_entropy)), expected, strict=True
    ):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, atol=3e-6)


@pytest.mark.parametrize("name", ["discrete", "multi-discrete", "choice with value"])
def test_illegal_choices_receive_nothing(name):
    made = case(SPACES[name], masked=True)
    by_logp = torch.randn(7, generator=torch.Generator().manual_seed(1))
    scores = score(*made)
    logp, _, expected, _ = pull_by_autograd(*made, by_logp, -0.02)
    np.testing.assert_allclose(scores.logp, logp, atol=2e-6)
    pulled, _ = scores.backpropagate(by_logp.numpy(), -0.02)
    np.testing.assert_allclose(pulled, expected, atol=3e-6)
    assert np.isfinite(pulled).all()


def test_a_spread_beyond_its_limits_receives_nothing():
    head, outputs, _, mask, action = case(SPACES["box"])
    made = head, outputs, torch.tensor([-11.0, 0.0, 4.0]), mask, action
    *_, expected = pull_by_autograd(*made, torch.ones(7), -0.02)
    _, found = score(*made).backpropagate(np.ones(7, np.float32), -0.02)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found[0] == found[2] == 0 != found[1]


def test_nan_stays_nan():
    head, outputs, log_std, mask, action = case(SPACES["discrete"])
    outputs[0, 0] = torch.nan
    scores = score(head, outputs, log_std, mask, action)
    assert np.isnan(scores.logp[0])
    pulled, _ = scores.backpropagate(np.ones(7, np.float32), 0.0)
    assert np.isnan(pulled[0]).all() and np.isfinite(pulled[1:]).all()


def test_other_values_of_a_choice_are_left_to_autograd():
    assert all(make_action_head(space).on_numpy for space in SPACES.values())
    assert not make_action_head(CHOICE_WITH_VALUE, "beta").on_numpy
    assert not make_action_head(CHOICE_WITH_VALUE, "normal").on_numpy
    both = spaces.Dict(a=spaces.Discrete(2), b=CHOICE_WITH_VALUE)
    assert make_action_head(both).on_numpy
    assert not make_action_head(both, "beta").on_numpy
    picks = spaces.Box(-1, 3, (2, 2), np.int64)
    assert not make_action_head(picks).on_numpy
