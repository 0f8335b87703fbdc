# pyright: basic
"""PPO's defaults learn environments that are not ours, in any units; prints the figures."""

import numpy as np
import pytest
import torch

import algos
from algos.ppo import PPOSettings
from tune_jobs.jobs.budget import count_iterations

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("local_ray"),
]

SCALED = "scaled_worlds:Scaled-v0"


def last_return(steps, **kwargs):
    """The mean return of the last 100 episodes of a training with the defaults."""
    torch.set_num_threads(1)
    settings = PPOSettings().fit_to_budget(steps)
    iterations = count_iterations(steps, settings)
    built = algos.build_algorithm("ppo", SCALED, kwargs, settings, iterations=iterations, seed=0)
    try:
        for _ in range(iterations):
            built.train()
        return float(np.mean(built.recent_returns))
    finally:
        built.stop()


def test_pendulum_is_learnt_alike_whatever_scales_its_rewards():
    found = {
        factor: last_return(120_000, env="Pendulum-v1", rewards=factor) / factor
        for factor in (0.01, 1, 100)
    }
    print(f"\nPendulum, 120,000 steps, by factor of the rewards: {found}")
    assert min(found.values()) >= -250
    assert max(found.values()) - min(found.values()) < 80


@pytest.mark.parametrize("factor", [1, 1000])
def test_cartpole_is_learnt_whatever_scales_a_column(factor):
    # Its last 100 episodes take 50,000 of them, where the pole is held to the end.
    found = last_return(80_000, env="CartPole-v1", first_column=factor)
    print(f"\nCartPole, 80,000 steps, first column times {factor}: {found:.0f}")
    assert found >= 450
