# pyright: basic
"""Every algorithm learns what there is to learn, and nothing where there is nothing."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import small
import torch

from algos import ALGORITHMS

pytestmark = pytest.mark.usefixtures("local_ray")

BANDIT = "toy_worlds:Bandit-v0"
ITERATIONS = 10
BASE = {"num_envs": 64, "rollout_length": 16, "lr": 0.01}
STEPS = {"gamma": 0.5, "minibatch_size": 128}
EPISODES = {"gamma": 1.0, "group_size": 8, "minibatch_size": 16}
STARTS = {"gamma": 1.0, "starts": 128, "reference_samples": 8, "minibatch_size": 8}

VARIANTS: dict[str, dict[str, Any]] = {
    "ppo": STEPS,
    "reinforce": {**STEPS, "epochs": 4},
    "reinforce, leave_one_out": {"baseline": "leave_one_out", **EPISODES},
    "reinforce, group_mean": {"baseline": "group_mean", **EPISODES},
    "grpo": EPISODES,
    "dpo": {**EPISODES, "minibatch_size": 8, "reference_interval": 1},
    "astar_po": {**STARTS, "beta": 0.05},
    "astar_po, clipped_pg": {**STARTS, "loss": "clipped_pg"},
}


def learnt(variant, seed, **env_kwargs):
    """The mean reward of a step before and after training: 0.5 for an arm drawn by lot."""
    chosen = {"algo": variant.split(",")[0], **BASE, **VARIANTS[variant]}
    with small.algorithm(BANDIT, env_kwargs, seed=seed, iterations=ITERATIONS, **chosen) as trained:
        policy = trained.env_runner_group.local_env_runner.module
        before = played(policy, **env_kwargs)
        for _ in range(ITERATIONS):
            trained.train()
        return before, played(policy, **env_kwargs)


def played(policy, **env_kwargs):
    """The mean reward of 1024 steps of 256 episodes from starts that no training has.

    Its standard error is at most sqrt(0.25 / 1024) = 0.016. In training's own rewards it would be
    several times larger: copies of a start are paid by the same coin.
    """
    env = gymnasium.make_vec(BANDIT, 256, "sync", **env_kwargs)
    generator = torch.Generator().manual_seed(0)
    observation, _ = env.reset(seed=1)
    rewards = []
    for _ in range(4):
        action, _, _ = policy.act({"obs": observation}, generator)
        observation, reward, *_ = env.step(action["choice"].numpy())
        rewards.append(reward)
    env.close()
    return float(np.mean(rewards))


def test_every_algorithm_is_here():
    assert {variant.split(",")[0] for variant in VARIANTS} == set(ALGORITHMS)


SEEDS = {variant: range(3 if variant in ALGORITHMS else 1) for variant in VARIANTS}


@pytest.mark.parametrize(("variant", "seed"), [(v, seed) for v in VARIANTS for seed in SEEDS[v]])
def test_a_contextual_bandit_is_learnt_in_ten_iterations(variant, seed):
    before, after = learnt(variant, seed)
    print(f"\nbandit, {variant}, seed {seed}: {before:.3f} before, {after:.3f} learnt (optimum 1)")
    assert before < 0.65
    assert after >= 0.95


@pytest.mark.system
@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_learnt_from_shuffled_rewards(variant):
    _, after = learnt(variant, seed=0, shuffled=True)
    print(f"\nbandit, {variant}, rewards shuffled: {after:.3f} (by lot 0.5)")
    assert after == pytest.approx(0.5, abs=0.048)  # three standard errors
