# pyright: basic
"""Actions drawn with numpy come from the distributions that torch samples from."""

from typing import Any

import numpy as np
import pytest
import torch
from action_cases import SPACES, case
from gymnasium import spaces

from algos.actions.action_drawer import BLOCK_STEPS, ActionDrawer

DRAWS = 40_000


def draw(head, outputs, log_std, mask, seed=0):
    """One action of each row."""
    generator = torch.Generator().manual_seed(seed)
    drawer = ActionDrawer(head, len(outputs), log_std.numpy(), generator)
    return drawer.draw(outputs.numpy(), None if mask is None else mask.numpy())


def repeat(name, masked=False) -> Any:
    """A head and parameters that are the same in every row."""
    head, outputs, log_std, mask, _ = case(SPACES[name], rows=1, seed=3, masked=masked)
    legal = None if mask is None else mask.expand(DRAWS, -1)
    return head, outputs.expand(DRAWS, -1), log_std, legal


@pytest.mark.parametrize("name", SPACES)
def test_draws_are_distributed_as_those_of_torch(name):
    head, outputs, log_std, _ = made = repeat(name)
    found = draw(*made)
    dist = head.dist(outputs, log_std)
    expected = dist.sample(torch.Generator().manual_seed(1))
    assert found.keys() == expected.keys()
    for column, values in expected.items():
        theirs = values.numpy()
        assert (found[column].dtype, found[column].shape) == (theirs.dtype, theirs.shape)
        spread = theirs.std(0) + 1e-9
        # Four standard errors of a difference of two means.
        away = np.abs(found[column].mean(0) - theirs.mean(0)) / spread
        assert (away < 4 * (2 / DRAWS) ** 0.5).all(), column
        np.testing.assert_allclose(found[column].std(0), theirs.std(0), rtol=0.03, atol=1e-6)
    # The mean log-probability of draws is the negative entropy.
    logp = head.score(outputs.numpy(), found, log_std.numpy(), None).logp
    error = 4 * logp.std() / DRAWS**0.5 + 1e-5
    assert abs(logp.mean() + float(dist.entropy()[0])) < error


@pytest.mark.parametrize("name", ["discrete", "multi-discrete", "choice with value"])
def test_illegal_choices_are_never_drawn(name):
    head, _, _, mask = made = repeat(name, masked=True)
    found = draw(*made)
    choices: Any = found.get("choices", found.get("choice"))
    sizes = head.sizes if name == "multi-discrete" else [head.choices]
    for i, legal in enumerate(mask[0].split(sizes)):
        drawn = np.unique(choices.reshape(DRAWS, -1)[:, i])
        assert set(drawn) <= set(np.flatnonzero(legal)) and len(drawn) == int(legal.sum())


def test_values_of_choices_are_points_of_their_grid():
    head, *_ = made = repeat("choice with value")
    grid = np.linspace(-1, 1, head.per_choice - 1, dtype=np.float32)
    assert set(np.unique(draw(*made)["value"])) <= set(grid)


def test_the_noise_is_new_in_every_step_and_that_of_the_seed():
    def run(seed):
        drawer = ActionDrawer(head, 3, np.zeros(2, np.float32), torch.Generator().manual_seed(seed))
        steps = range(2 * BLOCK_STEPS + 1)
        return np.stack([drawer.draw(np.zeros((3, 2), np.float32), None)["value"] for _ in steps])

    head = case(spaces.Box(-1, 1, (2,)))[0]
    first = run(0)
    assert len(np.unique(first)) == first.size
    np.testing.assert_array_equal(first, run(0))
    assert (first != run(1)).all()
