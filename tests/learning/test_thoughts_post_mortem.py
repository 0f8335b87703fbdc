# pyright: basic
"""The re-enacted post-mortem has its defects, and ours has none of them."""

import numpy as np
import pytest
import torch
from thoughts_post_mortem import PostMortem

from algos.actions.choices import Categorical
from algos.reinforce import Reinforce, ReinforceSettings
from algos.rollouts.columns import Columns
from algos.rollouts.rollout import Rollout

SETTINGS = ReinforceSettings(group_size=1, entropy_coef=0.0, normalise_advantages=False)
N, A = 12, 4


def pull(algorithm, order):
    """The policy gradient [N, A] by the logits, with what thoughts were worth in this order."""
    draw = np.random.default_rng(0)
    logits = torch.from_numpy(draw.normal(size=(N, A)).astype(np.float32)).requires_grad_()
    rows = {
        "choice": draw.integers(0, A, N),
        "logp": np.zeros(N, np.float32),
        "advantages": draw.normal(size=N).astype(np.float32)[order],
        "returns": np.zeros(N, np.float32),
        "values": np.zeros(N, np.float32),
    }
    forward = {"dist": Categorical(logits), "value": torch.zeros(N)}
    objective = algorithm.objective_class(SETTINGS)
    terms = objective.loss(forward, Columns(rows).to_torch(), {"entropy_coef": 0.0}).terms
    return torch.autograd.grad(terms["policy"].mean(), logits)[0]


@pytest.mark.parametrize(("algorithm", "hears"), [(Reinforce, True), (PostMortem, False)])
def test_whether_it_matters_which_thought_was_worth_what(algorithm, hears):
    order = np.random.default_rng(1).permutation(N)
    as_it_was, exchanged = pull(algorithm, np.arange(N)), pull(algorithm, order)
    assert bool((as_it_was - exchanged).abs().max() > 1e-4) == hears


@pytest.mark.parametrize(("algorithm", "alone"), [(Reinforce, True), (PostMortem, False)])
def test_thoughts_are_judged_alone_or_with_their_neighbours(algorithm, alone):
    def advantages(neighbour):
        rewards = np.zeros((3, 2), np.float32)
        rewards[2] = 1.0, neighbour
        done = np.zeros((3, 2), bool)
        done[2] = True
        values = np.full((3, 2), 0.5, np.float32)
        following = np.where(done, 0, values).astype(np.float32)
        columns = {"choice": np.zeros((3, 2), np.int64), "logp": np.zeros((3, 2), np.float32)}
        rollout = Rollout(columns, rewards, values, following, done, np.ones((3, 2), bool))
        rows = algorithm.objective_class(SETTINGS).compute_advantages(rollout)
        return rows["advantages"].reshape(3, 2)[:, 0]

    same = np.array_equal(advantages(0.0), advantages(5.0))
    assert same == alone
