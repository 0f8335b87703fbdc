# pyright: basic
"""REINFORCE: the log-probability times what an action was worth more than its baseline."""

from typing import Any

import numpy as np
import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID

from algos.actions.choices import Categorical
from algos.reinforce import ReinforceObjective
from algos.rollouts.rollout import Rollout
from rungwise.validation import InputError

BANDIT = "toy_worlds:Bandit-v0"
T, B = 6, 4


def prepare(objective):
    """What a learner gets of the fixed steps."""
    return objective.preprocess_batch(objective.compute_advantages(small.rollout((T, B))))[0]


def by_hand(baseline, **changed):
    """Advantages of two groups of one-step episodes with returns 1 2 6 | 4 4 4."""
    rewards = np.array([[1, 2, 6, 4, 4, 4]], np.float32)
    zeros, ends = np.zeros((1, 6), np.float32), np.ones((1, 6), bool)
    columns = {"logp": zeros}
    found = Rollout(columns, rewards, zeros, zeros, ends, ends)
    settings = small.settings(
        "reinforce", baseline=baseline, num_envs=6, group_size=3, rollout_length=8, **changed
    )
    rows = ReinforceObjective(settings).compute_advantages(found)
    return rows["advantages"], ReinforceObjective(settings).preprocess_batch(rows)


def test_a_learned_baseline_gives_the_advantages_of_ppo():
    found, chosen = small.rollout((T, B)), {"lam": 0.7, "gamma": 0.9}
    ours = small.objective("reinforce", **chosen).compute_advantages(found)
    theirs = small.objective("ppo", **chosen).compute_advantages(found)
    for name in ("advantages", "returns", "values"):
        assert (ours[name] == theirs[name]).all()


def test_the_group_baseline_may_leave_out_the_episode_itself():
    mean, (_, metrics) = by_hand("group_mean")
    others, _ = by_hand("leave_one_out")
    assert mean.tolist() == [-2, -1, 3, 0, 0, 0]
    # Each return minus the mean of the two others: of 2 and 6, of 1 and 6, of 1 and 2.
    assert others.tolist() == [-3, -1.5, 4.5, 0, 0, 0]
    assert metrics["group_signal"] == 0.5
    assert metrics["advantage_std"] == pytest.approx(mean.std())


def test_normalised_advantages_have_mean_0_and_deviation_1():
    plain, (rows, _) = by_hand("group_mean", normalise_advantages=False)
    assert rows["advantages"].tolist() == plain.tolist()
    _, (rows, _) = by_hand("leave_one_out")
    assert rows["advantages"].mean() == pytest.approx(0, abs=1e-6)
    assert rows["advantages"].std() == pytest.approx(1, abs=1e-6)


def test_steps_share_the_advantage_and_end_with_the_episode():
    settings = small.settings("reinforce", baseline="group_mean", num_envs=B, gamma=1.0)
    found = small.rollout((T, B), whole=True)
    rows = ReinforceObjective(settings).compute_advantages(found)
    assert len(rows) == found.valid.sum() < T * B
    copy = np.broadcast_to(np.arange(B), (T, B))[found.valid]
    returns = (found.rewards * found.valid).sum(0)
    for b in range(B):
        mean = returns[b // 2 * 2 : b // 2 * 2 + 2].mean()
        np.testing.assert_allclose(rows["advantages"][copy == b], returns[b] - mean, atol=1e-5)


def test_the_gradient_is_the_advantage_times_that_of_logp():
    learner = small.learner(BANDIT, algo="reinforce", entropy_coef=0.0, value_coef=0.0)
    module = learner.module[DEFAULT_MODULE_ID]
    batch = prepare(learner.objective).to_torch()

    def gradient(scalar):
        return torch.autograd.grad(scalar, list(module.parameters()))[0]

    found = gradient(small.loss("reinforce", module(batch), batch, learner.objective.settings))
    expected = torch.zeros_like(found)
    for row in range(len(batch)):
        one = batch.select(torch.tensor([row]))
        logp = module(one)["dist"].logp(one)[0]
        expected -= gradient(logp) * one["advantages"][0] / len(batch)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_the_kl_to_the_policy_of_the_beginning_keeps_it_near():
    def moved(weight):
        learner = small.learner(BANDIT, algo="reinforce", lr=0.02, reference_kl_coef=weight)
        rows = prepare(learner.objective)
        return [small.updated(learner, rows)["reference_kl"] for _ in range(15)][-1]

    assert 0 < moved(5.0) < moved(0.01) / 2


def test_only_baselines_made_of_groups_ask_for_whole_groups():
    assert small.settings("reinforce", num_envs=3).num_envs == 3
    with pytest.raises(InputError, match=r"num_envs must be a multiple of group_size \(8\)"):
        small.settings("reinforce", num_envs=3, group_size=8, baseline="group_mean")


def test_later_returns_count_more_in_the_moving_average():
    s = small.settings("reinforce", baseline="moving_average", baseline_momentum=0.5)
    coefficients = ReinforceObjective(s).initialise_coefficients()
    batch: Any = {"logp": torch.zeros(2), "choice": torch.zeros(2, dtype=torch.long)}
    batch |= {"advantages": torch.tensor([5.0, 1.0])}

    class Certain:
        def logp(self, batch):
            return torch.ones(2)

    def pull(settings):
        used = coefficients | {"entropy_coef": 0.0}
        return (
            ReinforceObjective(settings)
            .loss({"dist": Certain()}, batch, used)
            .terms["policy"]
            .tolist()
        )

    assert pull(s) == [-5, -1]  # nothing is known yet
    for seen, square in ((1.0, 2.0), (4.0, 17.0)):
        stats = {"return_seen": seen, "return_square": square}
        coefficients = ReinforceObjective(s).adapt_coefficients(coefficients, stats)
    # Weights 1/4 and 1/2: (1 + 8) / 3 = 3; squares (2 + 34) / 3 = 12, so a deviation of sqrt(3).
    assert pull(
        small.settings("reinforce", baseline="moving_average", normalise_advantages=False)
    ) == [
        -2,
        2,
    ]
    assert pull(s) == pytest.approx([-2 / 3**0.5, 2 / 3**0.5])


def test_a_moving_average_bootstraps_from_no_value():
    found = small.rollout((T, B))
    s = small.settings("reinforce", baseline="moving_average", gamma=0.5)
    rows = ReinforceObjective(s).compute_advantages(found)
    expected = np.zeros((T + 1, B), np.float32)
    for t in reversed(range(T)):
        expected[t] = found.rewards[t] + 0.5 * ~found.done[t] * expected[t + 1]
    np.testing.assert_allclose(rows["returns"].reshape(T, B), expected[:T], rtol=1e-5)
    assert ReinforceObjective(s).preprocess_batch(rows)[0] is rows


def test_the_moving_average_is_measured_by_returns_and_squares():
    s = small.settings("reinforce", baseline="moving_average")
    returns = torch.tensor([1.0, -3.0])
    batch: Any = {"logp": torch.zeros(2), "choice": torch.zeros(2, dtype=torch.long)}
    batch |= {"advantages": returns, "returns": returns}
    forward = {"dist": Categorical(torch.zeros(2, 3))}
    found = small.measure("reinforce", forward, batch, s)
    assert (float(found["return_seen"]), float(found["return_square"])) == (-1, 5)


def test_the_value_loss_is_half_the_squared_error():
    s = small.settings("reinforce", baseline="value")
    batch: Any = {"logp": torch.zeros(2), "choice": torch.zeros(2, dtype=torch.long)}
    batch |= {"advantages": torch.zeros(2), "returns": torch.tensor([1.0, -3.0])}
    forward = {"dist": Categorical(torch.zeros(2, 3)), "value": torch.tensor([2.0, 0.0])}
    assert float(small.measure("reinforce", forward, batch, s)["value_loss"]) == (1 + 9) / 4
