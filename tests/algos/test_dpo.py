# pyright: basic
"""DPO: the better of two becomes likelier and the worse one rarer, and pairs are made rightly."""

from typing import Any

import numpy as np
import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID

from algos.dpo import DPOObjective
from algos.rollouts.columns import Columns, Ragged
from algos.rollouts.preference_pairs import (
    concat_pair_steps,
    make_candidate_pairs,
    make_episode_pairs,
)
from algos.rollouts.rollout import Rollout, mask_first_episodes
from rungwise.validation import InputError

BANDIT = "toy_worlds:Bandit-v0"
OBJECTIVE = small.objective("dpo")


def episodes(count):
    """Episodes whose steps say to which they belong: episode e has e + 1 of them."""
    lengths = np.arange(1, count + 1)
    number = np.repeat(np.arange(count), lengths)
    steps = {"obs": number[:, None].astype(np.float32), "choice": number % 2}
    steps["logp"] = np.full(len(number), np.log(0.5), np.float32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Columns({name: Ragged(column, offsets) for name, column in steps.items()})


def members(pairs, side):
    """The number of the episode that is this half of each pair, checked at all of its steps."""
    column = pairs[f"{side}.obs"]
    found = [
        column.values[a:b, 0].tolist()
        for a, b in zip(column.offsets[:-1], column.offsets[1:], strict=True)
    ]
    assert all(steps == [steps[0]] * (int(steps[0]) + 1) for steps in found)
    return [int(steps[0]) for steps in found]


# Where pairs come from.


def test_of_episodes_from_a_start_best_is_paired_with_worst():
    # Start 7: 1 5 3, start 2: 0 4, start 9: 6 6, which says nothing.
    starts = np.array([7, 7, 7, 2, 2, 9, 9])
    returns = np.array([1, 5, 3, 0, 4, 6, 6], np.float32)
    pairs = make_episode_pairs(episodes(7), returns, starts)
    assert members(pairs, "chosen") == [4, 1] and members(pairs, "rejected") == [3, 0]
    assert pairs["gap"].tolist() == [4, 4]


def test_two_groups_from_one_start_are_one_group():
    # Start 3 was drawn twice: 2 8 | 9 1, with another start between them.
    starts = np.array([3, 3, 5, 5, 3, 3])
    returns = np.array([2, 8, 7, 0, 9, 1], np.float32)
    pairs = make_episode_pairs(episodes(6), returns, starts)
    assert members(pairs, "chosen") == [4, 2] and members(pairs, "rejected") == [5, 3]
    assert pairs["gap"].tolist() == [8, 7]


def test_tied_best_episodes_give_one_pair_of_unequal_halves():
    starts, returns = np.zeros(4, np.int64), np.array([2, 5, 5, 2], np.float32)
    pairs = make_episode_pairs(episodes(4), returns, starts)
    assert members(pairs, "chosen")[0] in (1, 2) and members(pairs, "rejected")[0] in (0, 3)
    assert pairs["gap"].tolist() == [3]


def test_equal_episodes_give_no_pairs():
    none = make_episode_pairs(episodes(4), np.ones(4, np.float32), np.array([1, 1, 2, 2]))
    rows, metrics = DPOObjective(small.settings("dpo", weights="gap")).preprocess_batch(none)
    assert len(rows) == 0 and metrics == {"pairs": 0, "pair_gap": 0}


def test_of_candidates_the_best_is_paired_with_the_worst():
    steps = Columns(
        {
            "obs": np.array([[0.0], [1.0], [2.0]], np.float32),
            "choice": np.array([9, 9, 9]),  # what was done is not what pairs are made of
            "candidates.choice": np.array([[10, 11, 12], [20, 21, 22], [30, 31, 32]]),
            "judged": np.array([[0.5, -1.0, 2.0], [3.0, 3.0, 3.0], [1.0, 0.0, 1.0]], np.float32),
        }
    )
    pairs = make_candidate_pairs(steps)
    assert pairs["chosen.choice"].values.tolist() == [12, 30]  # the first of the best
    assert pairs["rejected.choice"].values.tolist() == [11, 31]
    assert pairs["gap"].tolist() == [3, 1]
    for side in ("chosen", "rejected"):
        assert pairs[f"{side}.obs"].values[:, 0].tolist() == [0, 2]
        assert pairs[f"{side}.obs"].lengths.tolist() == [1, 1]


def collected(**changed):
    """A rollout of two groups of two copies: one-step and two-step episodes."""
    rewards = np.array([[1, 2, 0, 0], [4, 9, 3, 9]], np.float32)
    done, valid = mask_first_episodes(np.array([[0, 1, 0, 1], [1, 0, 1, 0]], bool))
    zeros = np.zeros((2, 4), np.float32)
    columns = {
        "obs": np.arange(4, dtype=np.float32)[None, :, None].repeat(2, 0),
        "choice": np.array([[0, 1, 1, 0], [1, 0, 0, 1]]),
        "logp": np.full((2, 4), np.log(0.5), np.float32),
        "start": np.array([[5, 5, 8, 8]] * 2),
    }
    settings = small.settings("dpo", **changed)
    return DPOObjective(settings).compute_advantages(
        Rollout(columns, rewards, zeros, zeros, done, valid)
    )


def test_groups_are_compared_by_their_discounted_returns():
    # Undiscounted 1 + 4 = 5 against 2, and 3 against 0; after an end nothing counts.
    rows = collected()
    assert rows["gap"].tolist() == [3, 3]
    assert rows["chosen.obs"].values[:, 0].tolist() == [0, 0, 2, 2]
    assert rows["rejected.obs"].values[:, 0].tolist() == [1, 3]
    # With a discount of 0 the first rewards decide: 1 against 2, and the second group ties.
    rows = collected(gamma=0.0)
    assert rows["gap"].tolist() == [1]
    assert rows["chosen.obs"].values[:, 0].tolist() == [1]
    assert rows["rejected.obs"].values[:, 0].tolist() == [0, 0]


def test_pairs_are_weighted_equally_or_by_their_gap():
    starts, returns = np.array([1, 1, 2, 2]), np.array([0, 1, 0, 3], np.float32)
    pairs = make_episode_pairs(episodes(4), returns, starts)
    alike, metrics = DPOObjective(small.settings("dpo")).preprocess_batch(pairs)
    by_gap, _ = DPOObjective(small.settings("dpo", weights="gap")).preprocess_batch(pairs)
    assert alike["weight"].tolist() == [1, 1]
    assert by_gap["weight"].tolist() == [0.5, 1.5]  # of mean 1, so that the learning rate holds
    assert metrics == {"pairs": 2, "pair_gap": 2}


# What is learnt from them.


def policy(batch, **changed):
    """A policy, and the batch with what its frozen copy says about it."""
    learner = small.learner(BANDIT, algo="dpo", **changed)
    module = learner.module[DEFAULT_MODULE_ID]
    with torch.no_grad():
        references = OBJECTIVE.compute_reference_columns(
            module(OBJECTIVE.build_network_inputs(batch)), batch
        )
    return learner, module, batch.with_columns(**references)


def tensors(**changed):
    rng = np.random.default_rng(0)
    rows = episodes(6)
    count = int(rows["obs"].offsets[-1])
    obs = rng.normal(size=(count, 2)).astype(np.float32)
    rows = rows.with_columns(obs=Ragged(obs, rows["obs"].offsets))
    pairs = make_episode_pairs(rows, np.array([0, 1, 5, 2, 3, 9], np.float32), np.arange(6) // 2)
    return DPOObjective(small.settings("dpo", **changed)).preprocess_batch(pairs)[0].to_torch()


def gradient(scalar, module):
    found = torch.autograd.grad(scalar, list(module.parameters()), allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


@pytest.mark.parametrize("weights", ["equal", "gap"])
def test_at_the_reference_each_pair_pulls_by_half_of_beta(weights):
    """d/dx -log sigmoid(beta x) at x = 0 is -beta / 2."""
    beta = 0.3
    learner, module, batch = policy(tensors(weights=weights), beta=beta, weights=weights)
    loss = small.loss(
        "dpo", module(OBJECTIVE.build_network_inputs(batch)), batch, learner.objective.settings
    )
    expected = torch.zeros(())
    for pair in range(len(batch)):
        one = batch.select(torch.tensor([pair]))
        logps = []
        for side in ("chosen", "rejected"):
            steps = {n: one[f"{side}.{n}"].values for n in ("obs", "choice")}
            logps.append(module(steps)["dist"].logp(steps).sum())
        weight = float(one["weight"])
        expected = expected + weight * (logps[0] - logps[1]) / len(batch)
    assert loss.item() == pytest.approx(np.log(2), abs=1e-6)
    pulled = gradient(loss, module)
    assert pulled.abs().max() > 1e-3
    torch.testing.assert_close(pulled, -beta / 2 * gradient(expected, module), atol=1e-6, rtol=1e-4)


def test_the_margin_is_relative_to_the_reference_on_both_sides():
    learner, module, batch = policy(tensors(), beta=0.3)
    # A reference that finds each half likelier or less likely than the policy does, by pair.
    better, worse = torch.linspace(-2, 1, len(batch)), torch.linspace(3, -1, len(batch))
    batch = batch.with_columns(
        reference_chosen=batch["reference_chosen"] - better,
        reference_rejected=batch["reference_rejected"] - worse,
    )
    found = small.measure(
        "dpo", module(OBJECTIVE.build_network_inputs(batch)), batch, learner.objective.settings
    )
    margin = better - worse
    assert found["chosen_gain"].item() == pytest.approx(better.mean().item(), abs=1e-5)
    assert found["pair_margin"].item() == pytest.approx(0.3 * margin.mean().item(), abs=1e-5)
    assert found["pair_accuracy"].item() == pytest.approx((margin > 0).float().mean().item())
    assert 0 < found["pair_accuracy"] < 1


def test_kl_is_estimated_over_the_steps_of_both_halves():
    learner, module, batch = policy(tensors())
    steps = concat_pair_steps(batch)
    logp = module(steps)["dist"].logp(steps).detach()
    logp_old = logp - torch.linspace(-0.5, 0.5, len(logp))
    split = len(batch["chosen.logp"].values)
    for side, part in (("chosen", logp_old[:split]), ("rejected", logp_old[split:])):
        old = batch[f"{side}.logp"]
        batch = batch.with_columns(**{f"{side}.logp": Ragged(part, old.offsets)})
    found = small.measure("dpo", module(steps), batch, learner.objective.settings)
    ratio = (logp - logp_old).exp()
    expected = (ratio - 1 - ratio.log()).mean()
    assert expected > 0.01 and found["kl"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_recorded_pairs_have_no_kl_and_no_limit_of_it():
    _, module, batch = policy(tensors())
    recorded = small.settings("dpo", pairs="folder")
    forward = module(OBJECTIVE.build_network_inputs(batch))
    assert "kl" not in small.measure("dpo", forward, batch, recorded)
    with pytest.raises(InputError, match="kl_limit"):
        small.settings("dpo", pairs="folder", kl_limit=0.1)


def test_the_steps_of_both_halves_are_one_table():
    pairs = make_episode_pairs(episodes(2), np.array([0, 1], np.float32), np.zeros(2, np.int64))
    table = concat_pair_steps(pairs.to_torch())
    assert table["obs"][:, 0].tolist() == [1, 1, 0]
    assert table["choice"].tolist() == [1, 1, 0]


def test_the_better_halves_become_likelier_than_the_worse_ones():
    changed: dict[str, Any] = {"lr": 0.02, "reference_interval": 0, "beta": 0.5}
    learner = small.learner(BANDIT, algo="dpo", **changed)
    rows, _ = DPOObjective(learner.objective.settings).preprocess_batch(collected())
    # Two inputs where the bandit has two: the copy's number and a one.
    rows = Columns({n: _widened(n, column) for n, column in rows.items()})
    history = [small.updated(learner, rows) for _ in range(10)]
    assert history[-1]["pair_accuracy"] == 1
    assert 0 < history[0]["pair_margin"] < history[4]["pair_margin"] < history[9]["pair_margin"]
    assert history[-1]["policy_loss"] < history[0]["policy_loss"] < np.log(2)


def _widened(name, column):
    if not name.endswith(".obs"):
        return column
    wide = np.concatenate([column.values, np.ones_like(column.values)], -1)
    return Ragged(wide, column.offsets)


def test_candidates_keep_the_log_probability_they_were_drawn_with():
    chosen: dict[str, Any] = {"pairs": "candidates", "num_envs": 4, "rollout_length": 4}
    runner = small.runner("envs:CausalLearning-v0", algo="dpo", **chosen)
    steps = concat_pair_steps(runner.sample()[0].to_torch())
    with torch.no_grad():
        logp = runner.module(steps)["dist"].logp(steps)
    torch.testing.assert_close(steps["logp"], logp, rtol=1e-5, atol=1e-5)
