# pyright: basic
"""Each row of an action has its own ratio and, where rewards are means over rows, own credit."""

import numpy as np
import pytest
import small
import torch

from algos.actions.topk import TopK, entropy_per_choice
from algos.grpo import GRPOObjective
from algos.losses import average_over_rows, compute_logps_and_advantages
from algos.ppo import PPO, PPOObjective
from algos.reinforce import Reinforce, ReinforceObjective
from algos.rollouts.columns import Columns
from algos.rollouts.rollout import Rollout

ROW_REWARDS = np.array([[[1, 3], [2, 0], [5, 5]]], np.float32)
"""One step of three copies with two rows each; their means are 2, 1 and 5."""


def rollout(row_rewards=ROW_REWARDS):
    T, B = row_rewards.shape[:2]
    zeros, ends = np.zeros((T, B), np.float32), np.zeros((T, B), bool)
    ends[-1] = True
    columns = {"logp": zeros, "row_logp": 0 * row_rewards, "row_reward": row_rewards}
    values = np.full((T, B), 0.5, np.float32)
    return Rollout(columns, row_rewards.mean(-1), values, zeros, ends, np.ones((T, B), bool))


def groups(baseline, found):
    settings = small.settings(
        "reinforce", baseline=baseline, num_envs=3, group_size=3, rollout_length=8, gamma=0.5
    )
    return ReinforceObjective(settings).compute_advantages(found)


def test_with_a_value_each_row_is_credited_with_its_own_reward():
    for algorithm, name in ((PPO, "ppo"), (Reinforce, "reinforce")):
        rows = algorithm.objective_class(small.settings(name)).compute_advantages(rollout())
        assert rows["advantages"].tolist() == [1.5, 0.5, 4.5]
        assert rows["row_advantages"].tolist() == [[0.5, 2.5], [1.5, -0.5], [4.5, 4.5]]


def test_in_a_group_a_row_is_compared_with_the_same_row():
    # Row 0 has 1, 2, 5: their mean is 8/3; row 1 has 3, 0, 5.
    mean = groups("group_mean", rollout())["row_advantages"]
    np.testing.assert_allclose(mean, np.array([[-5, 1], [-2, -8], [7, 7]]) / 3, rtol=1e-6)
    others = groups("leave_one_out", rollout())["row_advantages"]
    np.testing.assert_allclose(others, [[-2.5, 0.5], [-1, -4], [3.5, 3.5]], rtol=1e-6)


def test_grpo_scales_each_row_by_its_deviation_in_the_group():
    chosen = {"num_envs": 3, "group_size": 3, "rollout_length": 8, "gamma": 0.5}
    scaled = small.objective("grpo", **chosen).compute_advantages(rollout())["row_advantages"]
    found = np.array([[-5, 1], [-2, -8], [7, 7]]) / 3
    deviation = ROW_REWARDS[0].std(0, ddof=1)
    np.testing.assert_allclose(scaled, found / (deviation + 1e-4), rtol=1e-5)


def test_a_row_of_several_steps_gets_their_discounted_sum():
    found = groups("group_mean", rollout(np.concatenate([ROW_REWARDS, 4 * ROW_REWARDS])))
    one = groups("group_mean", rollout(3 * ROW_REWARDS))["row_advantages"]
    np.testing.assert_allclose(found["row_advantages"], np.concatenate([one, one]), rtol=1e-6)


def test_process_supervision_credits_a_row_with_what_follows():
    chosen = {"num_envs": 3, "group_size": 3, "rollout_length": 8, "gamma": 0.5}
    process = small.settings("grpo", supervision="process", **chosen)
    found = GRPOObjective(process).compute_advantages(
        rollout(np.concatenate([ROW_REWARDS, 4 * ROW_REWARDS]))
    )
    one = np.array([[-5, 1], [-2, -8], [7, 7]]) / 3
    deviation = ROW_REWARDS[0].std(0, ddof=1)
    # Step 0 is followed by rewards 1 + 4 / 2 = 3 times as large, step 1 by those 4 times as large.
    expected = [factor * one / (factor * deviation + 1e-4) for factor in (3, 4)]
    np.testing.assert_allclose(found["row_advantages"], np.concatenate(expected), rtol=1e-5)


def test_the_advantage_of_a_row_is_normalised_over_all_rows():
    rows = PPOObjective(small.settings()).compute_advantages(rollout())
    rows, _ = PPOObjective(small.settings()).preprocess_batch(rows)
    assert rows["row_advantages"].mean() == pytest.approx(0, abs=1e-6)
    assert rows["row_advantages"].std() == pytest.approx(1, abs=1e-4)


def batch(row_advantages=True):
    """Two rows, each with one pick of three: log-probabilities as they were, and advantages."""
    found = {
        "picks": torch.tensor([[[0], [2]]]),
        "row_logp": torch.tensor([[-1.0, -1.2]]),
        "logp": torch.tensor([-2.2]),
        "advantages": torch.tensor([2.0]),
        "returns": torch.zeros(1),
        "values": torch.zeros(1),
    }
    return Columns(
        found | ({"row_advantages": torch.tensor([[3.0, -1]])} if row_advantages else {})
    )


def test_the_clipped_loss_averages_the_ratios_of_rows():
    logits = torch.tensor([[[0.0, 0, 0], [0, 0, 0]]], requires_grad=True)
    dist, s = TopK(logits, None, 1), small.settings(entropy_coef=0.0, clip=0.2)
    forward = {"dist": dist, "value": torch.zeros(1)}
    # Ratios are e^-ln3 / e^-1 = .9061 and e^-ln3 / e^-1.2 = 1.1067, both within the clip.
    expected = -(0.90609 * 3 + 1.10671 * -1) / 2
    policy = (
        PPOObjective(s)
        .loss(forward, batch(), PPOObjective(s).initialise_coefficients())
        .terms["policy"]
    )
    torch.testing.assert_close(policy, torch.tensor([expected]), atol=1e-4, rtol=0)
    # The derivative by a picked logit is minus ratio * advantage * (1 - p) / 2.
    policy.sum().backward()
    assert logits.grad is not None
    assert float(logits.grad[0, 0, 0]) == pytest.approx(-0.90609 * 3 * 2 / 3 / 2, abs=1e-4)
    assert float(logits.grad[0, 1, 2]) == pytest.approx(1.10671 * 2 / 3 / 2, abs=1e-4)


def test_grpo_clips_and_penalises_each_row_by_itself():
    logits = torch.tensor([[[0.0, 0, 0], [0, 0, 0]]], requires_grad=True)
    dist = TopK(logits, None, 1)
    s = small.settings("grpo", entropy_coef=0.0, clip=0.1, reference_kl_coef=0.5)
    # Ratios .9061 and 1.1067: the second has a negative advantage and is not held.
    rows = Columns(dict(batch()) | {"reference_logp": torch.tensor([[-1.0, -np.log(3)]]).float()})
    terms = GRPOObjective(s).loss({"dist": dist}, rows, {"entropy_coef": 0.0}).terms
    torch.testing.assert_close(
        terms["policy"], torch.tensor([-(0.90609 * 3 - 1.10671) / 2]), atol=1e-4, rtol=0
    )
    step = np.log(3) - 1  # the first row's log-probability has fallen by so much
    kl = (np.exp(step) - 1 - step) / 2
    torch.testing.assert_close(terms["reference_kl"], torch.tensor([0.5 * kl]).float())
    same = GRPOObjective(s).compute_reference_columns({"dist": dist}, rows)["reference_logp"]
    torch.testing.assert_close(same, torch.full((1, 2), -np.log(3)).float())


def test_reinforce_pulls_each_row_by_itself_to_the_reference():
    # Of 200 rows together the probability ratio is 0 for nearly every sample.
    generator = torch.Generator().manual_seed(0)
    logits = (0.3 * torch.randn(200, 3, generator=generator)).requires_grad_()
    dist, uniform = (TopK(of.expand(256, -1, -1), None, 1) for of in (logits, 0 * logits))
    objective = ReinforceObjective(small.settings("reinforce", reference_kl_coef=1.0))
    action = dist.sample(generator)
    rows = Columns({**action, "row_logp": dist.row_logp(action).detach()})
    rows = rows.with_columns(advantages=torch.zeros(256), returns=torch.zeros(256))
    rows = rows.with_columns(**objective.compute_reference_columns({"dist": uniform}, rows))
    terms = objective.loss(
        {"dist": dist, "value": torch.zeros(256)}, rows, {"entropy_coef": 0}
    ).terms
    (found,) = torch.autograd.grad(terms["reference_kl"].mean(), logits, retain_graph=True)
    logp = torch.log_softmax(logits, -1)
    (true,) = torch.autograd.grad((logp.exp() * logp).sum(-1).mean(), logits)
    assert torch.cosine_similarity(found.flatten(), true.flatten(), 0) > 0.9


def test_rows_without_rewards_share_the_action_advantage():
    dist = TopK(torch.zeros(1, 2, 3), None, 1)
    logp, old, advantages = compute_logps_and_advantages(dist, batch(row_advantages=False))
    assert logp.shape == old.shape == (1, 2)
    assert average_over_rows(logp * advantages).item() == pytest.approx(-2 * np.log(3))
    settings = small.settings("reinforce", entropy_coef=0.0, value_coef=0.0)
    forward = {"dist": dist, "value": torch.zeros(1)}
    terms = (
        ReinforceObjective(settings)
        .loss(forward, batch(row_advantages=False), {"entropy_coef": 0})
        .terms
    )
    assert terms["policy"].item() == pytest.approx(2 * np.log(3))


def test_the_entropy_weight_does_not_depend_on_the_graph_size():
    for rows in (3, 300):
        dist = TopK(torch.zeros(2, rows, 4), None, 2)
        torch.testing.assert_close(entropy_per_choice(dist), torch.full((2,), np.log(4)).float())
