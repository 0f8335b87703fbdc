# pyright: basic
"""The policy of RLlib's own algorithms: what it reads, how it acts, what it remembers."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from algos.rllib.rllib_module import RLlibModule
from algos.rollouts.env_factory import make_vector_env
from rungwise.validation import InputError

SMALL = {"model_config": {"fcnet_hiddens": [8]}}


def make_module(algo, env_id, settings=SMALL):
    env = make_vector_env(env_id, {}, 3)
    observations, _ = env.reset(seed=0)
    module = RLlibModule(algo, settings, env.single_observation_space, env.single_action_space)
    return module, env, observations


@pytest.mark.parametrize(
    ("algo", "env_id"),
    [
        ("rllib/DQN", "CartPole-v1"),
        ("rllib/SAC", "Pendulum-v1"),
        ("rllib/PPO", "FrozenLake-v1"),  # its observation is a number of a state
        ("rllib/PPO", "envs:CausalLearning-v0"),  # nested observations and actions
        ("rllib/SAC", "envs:EdgeSelection-v0"),
        ("rllib/IMPALA", "Blackjack-v1"),
    ],
)
def test_actions_of_a_batch_are_those_of_the_environment(algo, env_id):
    module, env, observations = make_module(algo, env_id)
    for greedy in (False, True):
        actions, after = module.act(observations, {}, greedy=greedy)
        assert actions in env.action_space and after == {}
    env.step(actions)
    env.close()


def test_draws_follow_the_generator_and_leave_torchs_own_alone():
    module, _, observations = make_module("rllib/SAC", "Pendulum-v1")
    before = torch.get_rng_state()
    drawn = [
        module.act(observations, {}, torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    torch.testing.assert_close(torch.get_rng_state(), before)


def test_actions_are_unsquashed_to_the_bounds_of_the_space():
    module, _, observations = make_module("rllib/SAC", "Pendulum-v1")
    generator = torch.Generator().manual_seed(0)
    drawn = np.concatenate([module.act(observations, {}, generator)[0] for _ in range(50)])
    assert 1 < np.abs(drawn).max() <= 2, "the network's own lie in [-1, 1]"


def test_exploration_falls_with_the_steps_of_the_training():
    env = make_vector_env("CartPole-v1", {}, 64)
    observations, _ = env.reset(seed=0)
    settings = SMALL | {"epsilon": [[0, 1.0], [1000, 0.0]]}
    differing = []
    for steps in (0, 1000):
        torch.manual_seed(0)
        spaces_of = env.single_observation_space, env.single_action_space
        module = RLlibModule("rllib/DQN", settings, *spaces_of, steps)
        drawn = module.act(observations, {}, torch.Generator().manual_seed(0))[0]
        differing.append((drawn != module.act(observations, {}, greedy=True)[0]).mean())
    assert differing[0] > 0.2 and differing[1] == 0


def test_memory_is_carried_from_step_to_step():
    settings = {"model_config": {"use_lstm": True, "max_seq_len": 4, "lstm_cell_size": 8}}
    module, _, observations = make_module("rllib/PPO", "CartPole-v1", settings)
    start = module.initial_state(3)
    _, after = module.act(observations, start, greedy=True)
    assert {n: part.shape for n, part in after.items()} == {n: p.shape for n, p in start.items()}
    assert any(np.abs(part).max() > 0 for part in after.values())
    _, later = module.act(observations, after, greedy=True)
    assert any(not np.array_equal(later[name], after[name]) for name in after)
    # A row's state is its own: the first forgets, the others go on as before.
    mixed = {name: np.where(np.arange(3).reshape(3, 1, 1) == 0, 0, p) for name, p in after.items()}
    _, mixed_after = module.act(observations, mixed, greedy=True)
    for name in after:
        np.testing.assert_allclose(mixed_after[name][0], after[name][0], rtol=1e-5)
        np.testing.assert_allclose(mixed_after[name][1:], later[name][1:], rtol=1e-5)


def test_weights_of_another_network_are_refused():
    module, *_ = make_module("rllib/DQN", "CartPole-v1")
    other, *_ = make_module("rllib/DQN", "CartPole-v1", {"model_config": {"fcnet_hiddens": [9]}})
    with pytest.raises(ValueError, match="another network"):
        module.set_state(other.get_state())


def test_actions_that_an_algorithm_cannot_take_are_refused():
    with pytest.raises(InputError, match=r"rllib/DQN has no network .* actions Box"):
        RLlibModule("rllib/DQN", {}, spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (1,)))
