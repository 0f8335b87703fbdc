# pyright: basic, reportAttributeAccessIssue=false
"""Runners obey masks of every form, learn with them, and name the step of a wrong one."""

import numpy as np
import pytest
import small
import torch
from masked_games import FORMS, MODES

from algos.rollouts.env_factory import make_vector_env
from algos.rollouts.environment_fault import EnvironmentFault
from envs.contract.masked import MaskedVectorEnv

VECTOR_IDS = [
    f"masked_games:Game-{form}-{mode}-v0"
    for form in ("mask", "action_mask", "info")
    for mode in MODES
]
IDS = [f"masked_games:Game-{form}-v0" for form in FORMS] + VECTOR_IDS


@pytest.mark.parametrize("kind", ["one", "several"])
@pytest.mark.parametrize("env", IDS)
def test_rollouts_hold_legal_actions_and_their_masks(env, kind):
    runner = small.runner(env, {"kind": kind}, num_envs=3, rollout_length=40)
    # The game raises at every illegal move.
    rollout, statistics = runner.collect(40)
    runner.stop()
    valid = rollout.valid
    masks, seen = rollout.columns["obs.mask"][valid], rollout.columns["obs.observation"][valid]
    np.testing.assert_array_equal(masks != 0, seen > 0)
    assert statistics["episodes"]["episode_return"].size > 5
    if "-next-" in env:
        assert not valid.all()
    # Truncated episodes continue with the value of their final observation.
    truncated = rollout.done & (rollout.next_values != 0)
    assert truncated.any()


def test_log_probabilities_of_acting_are_those_of_learning():
    runner = small.runner("masked_games:Game-info-v0", {"kind": "several"}, rollout_length=20)
    with torch.no_grad():
        for parameter in runner.module.parameters():
            parameter.normal_(0, 0.3)
    rollout, _ = runner.collect(20)
    runner.stop()
    rows = rollout.to_rows()
    batch = {name: torch.as_tensor(rows[name]) for name in rows.rows}
    dist = runner.module._forward(batch)["dist"]
    torch.testing.assert_close(dist.logp(batch), batch["logp"], rtol=0, atol=2e-6)
    # Each choice is made among its own legal options: the probabilities of all are 1.
    masks = batch["obs.mask"].split([3, 2], -1)
    for part, mask in zip(dist.parts, masks, strict=True):
        assert ((part.logits.exp() > 0) == (mask != 0)).all()
        torch.testing.assert_close(part.logits.exp().sum(-1), torch.ones(len(mask)))
    entropies = sum(mask.sum(-1).double().log() for mask in masks)
    torch.testing.assert_close(dist.max_entropy().double(), entropies)


@pytest.mark.parametrize("fault", ["none", "missing", "size"])
def test_a_wrong_mask_in_training_names_its_step(fault):
    runner = small.runner("masked_games:Game-wrong-v0", {"fault": fault}, num_envs=1)
    with pytest.raises(EnvironmentFault, match=r"masked_games:Game-wrong-v0 failed in step\(\)"):
        runner.collect(100)
    runner.stop()


def test_a_vector_environment_without_the_mask_is_not_used():
    # Its copies have the method, but the vector environment does not show what it returns.
    env = make_vector_env("masked_games:Game-both-v0", {}, 2)
    assert not isinstance(env, MaskedVectorEnv)
    assert "mask" in env.single_observation_space.spaces
    env.close()


def test_forced_moves_do_not_look_like_a_certain_policy():
    runner = small.runner(
        "masked_games:Game-info-v0",
        {"forced": 0.97},
        num_envs=8,
        rollout_length=128,
        minibatch_size=1024,
    )
    rows, statistics = runner.sample()
    learner = runner.config.build_learner(spaces=runner.get_spaces())
    metrics = small.updated(learner, rows)
    runner.stop()
    assert metrics["choice_step_fraction"] < 0.06
    # An untrained policy is close to uniform wherever it has a choice.
    assert metrics["entropy_normalised"] > 0.9
    assert statistics["choices"].sum() < 0.06 * 8 * 128


def play_greedily(runner, episodes):
    """Return the mean reward of a step of the greedy policy, and that of legal chance."""
    env = make_vector_env(runner.env_id, {}, 16)
    observation, _ = env.reset(seed=7)
    rewards, chance = [], []
    for _ in range(episodes * 5):
        columns = {f"obs.{name}": part for name, part in observation.items()}
        action, _, _ = runner.module.act(columns, greedy=True)
        chance.append((1 / np.maximum(observation["mask"].sum(-1), 1)).mean())
        observation, reward, *_ = env.step(
            runner.module.head.to_env_action({name: part.numpy() for name, part in action.items()})
        )
        rewards.append(reward.mean())
    env.close()
    return np.mean(rewards), np.mean(chance)


@pytest.mark.parametrize("form", ["info", "method"])
def test_a_policy_learns_among_legal_moves(form):
    runner = small.runner(
        f"masked_games:Game-{form}-v0",
        num_envs=32,
        rollout_length=32,
        minibatch_size=128,
        lr=1e-2,
        gamma=0.5,
        hidden=(32,),
    )
    learner = runner.config.build_learner(spaces=runner.get_spaces())
    for _ in range(12):
        runner.module.set_state(learner.module["default_policy"].get_state())
        rows, _ = runner.sample()
        small.updated(learner, rows)
    runner.module.set_state(learner.module["default_policy"].get_state())
    reached, chance = play_greedily(runner, 10)
    runner.stop()
    assert chance < 0.6
    assert reached > 0.9


@pytest.mark.system
@pytest.mark.usefixtures("local_ray")
def test_two_remote_runners_collect_legal_moves():
    env = "masked_games:Game-method-v0"
    with small.algorithm(env, num_env_runners=2, num_envs=2, minibatch_size=8) as trained:
        result = trained.train()
        assert result["env_steps"] == 2 * 2 * 8
        assert result["choice_step_fraction"] > 0
