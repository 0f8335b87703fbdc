# pyright: basic
"""The defaults of all settings: changing one changes what every user of it gets."""

import dataclasses

import pytest

import algos

COMMON = {
    "num_envs": 8,
    "num_env_runners": 0,
    "acting_device": "auto",
    "num_learners": 0,
    "lr": 0.0003,
    "lr_schedule": "constant",
    "lr_end": 0.0,
    "warmup": 0.0,
    "accumulate": 1,
    "kl_limit": 0.0,
    "hang_limit_s": 30.0,
    "grad_clip": 0.5,
    "optimiser": "adam",
    "weight_decay": 0.0,
    "entropy_schedule": "constant",
    "entropy_end": 0.0,
    "entropy_decay": 0.9995,
    "entropy_target": 0.0,
    "diversity_coef": 0.0,
    "temperature": 1.0,
    "temperature_schedule": "constant",
    "temperature_end": 1.0,
    "warm_start": "",
    "warm_start_episodes": 256,
    "warm_start_epochs": 5,
    "warm_start_interval": 0,
    "record": "",
    "model": "auto",
    "frame_stack": 1,
    "memory": "none",
    "sequence_length": 32,
    "language_model": "",
    "lora_rank": 0,
    "hidden": (64, 64),
    "value_hidden": (),
    "activation": "tanh",
    "normalise_observations": "auto",
    "value_distribution": "bins",
    "bins": 21,
    "initial_log_std": -1.0,
    "log_std_schedule": "learned",
    "log_std_end": -2.0,
    "log_std_scores": (0.0, 1.0),
}
"""What all algorithms share."""
OWN = {
    "ppo": {
        "gamma": 0.99,
        "rollout_length": 0,
        "lr": 0.0007,
        "lr_schedule": "linear",
        "epochs": 10,
        "minibatch_size": 64,
        "kl_limit": 0.02,
        "entropy_coef": 0.01,
        "lam": 0.95,
        "clip": 0.2,
        "normalise_rewards": False,
        "normalise_advantages": True,
        "normalise_values": True,
        "value_coef": 0.5,
        "kl_coef": 0.0,
    },
    "reinforce": {
        "gamma": 0.99,
        "rollout_length": 128,
        "epochs": 1,
        "minibatch_size": 256,
        "entropy_coef": 0.01,
        "group_size": 8,
        "starts": 0,
        "baseline": "value",
        "baseline_momentum": 0.95,
        "lam": 0.95,
        "normalise_rewards": False,
        "normalise_advantages": True,
        "normalise_values": False,
        "value_coef": 0.5,
        "reference_kl_coef": 0.0,
        "likelihood_coef": 0.0,
    },
    "grpo": {
        "gamma": 1.0,
        "rollout_length": 500,
        "epochs": 4,
        "minibatch_size": 256,
        "entropy_coef": 0.01,
        "group_size": 8,
        "starts": 0,
        "clip": 0.2,
        "supervision": "outcome",
        "reference_kl_coef": 0.0,
        "reference_interval": 0,
    },
    "dpo": {
        "gamma": 1.0,
        "rollout_length": 500,
        "epochs": 4,
        "minibatch_size": 64,
        "entropy_coef": 0.0,
        "group_size": 8,
        "starts": 0,
        "pairs": "groups",
        "candidates": 4,
        "beta": 0.1,
        "weights": "equal",
        "reference_interval": 25,
    },
    "astar_po": {
        "gamma": 1.0,
        "rollout_length": 500,
        "epochs": 4,
        "minibatch_size": 8,
        "entropy_coef": 0.01,
        "group_size": 1,
        "starts": 256,
        "loss": "regression",
        "beta": 0.01,
        "v_star": "softmax",
        "v_star_beta": 0.5,
        "reference_samples": 8,
        "v_star_cache": "",
    },
}


def plain(cls):
    """The defaults of a dataclass by field, nested ones as tables."""
    return dataclasses.asdict(cls())


def test_every_algorithm_is_listed():
    assert set(OWN) == set(algos.ALGORITHMS)


@pytest.mark.parametrize("name", OWN)
def test_the_defaults_of_an_algorithm_stay_what_they_are(name):
    assert plain(algos.get_algorithm_class(name).settings_class) == COMMON | OWN[name]
