# pyright: basic
"""Whole numbers and single values reach an environment in the type of its space."""

import numpy as np
import pytest
from training_loop import train
from typed_actions import SPACES, leaves

from algos.checkpoint import write_manifest
from algos.policy import Policy, write_policy
from algos.rollouts.env_factory import make_single_env

ENV = "typed_actions:Typed-v0"


@pytest.mark.parametrize("hidden", [(8, 8), (8,)], ids=str)
@pytest.mark.parametrize("kind", SPACES)
def test_a_policy_trains_and_acts_in_the_type_of_the_space(kind, hidden, tmp_path):
    chosen = {"num_envs": 2, "rollout_length": 16, "minibatch_size": 16, "hidden": hidden}
    returns, runner = train(ENV, 64, env_kwargs={"kind": kind}, **chosen)
    assert returns
    module = runner.module
    write_policy(
        tmp_path / "policy",
        {"algo": "ppo", "settings": chosen},
        module.get_state(),
        module.observation_space,
        SPACES[kind],
    )
    write_manifest(tmp_path)
    policy, env = Policy.load(tmp_path), make_single_env(ENV, {"kind": kind})
    observation, _ = env.reset(seed=0)
    for greedy in (True, False, False):
        action = policy.act(observation, greedy=greedy)
        assert all(isinstance(part, np.ndarray) for part in leaves(action))
        observation, *_ = env.unwrapped.step(action)  # asserts that it is in the space
