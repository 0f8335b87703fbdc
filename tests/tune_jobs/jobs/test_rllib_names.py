"""Remedies in the words of RLlib's own algorithms."""

import re
from dataclasses import fields

import pytest

from algos.ppo import PPOSettings
from tune_jobs.health import RULES
from tune_jobs.health.remedy import worded
from tune_jobs.jobs.rllib_names import RLLIB_NAMES, describe_rllib_settings


@pytest.mark.parametrize(
    ("algo", "names"),
    [
        ("rllib/PPO", {"lr": "lr", "clip": "clip_param", "epochs": "num_epochs"}),
        ("rllib/SAC", {"lr": "actor_lr", "gamma": "gamma", "grad_clip": "grad_clip"}),
        ("rllib/DQN", {"lr": "lr", "gamma": "gamma", "grad_clip": "grad_clip"}),
    ],
)
def test_settings_have_the_names_that_the_algorithm_reads(algo: str, names: dict[str, str]):
    found = describe_rllib_settings(algo, {}).names
    assert names.items() <= found.items()
    assert ("entropy_coef" in found) == (algo == "rllib/PPO")


def test_values_are_those_of_the_job_or_the_defaults():
    found = describe_rllib_settings("rllib/PPO", {"lr": 0.01})
    assert found.values["lr"] == 0.01
    assert found.values["clip"] == 0.3
    assert describe_rllib_settings("rllib/SAC", {"lr": 0.01}).names["lr"] == "lr"


OF_OURS = ("theatre", "v_star_", "advantages_flat")
"""Beginnings of symptoms that only algorithms or environments of ours can have."""


@pytest.mark.parametrize("symptom", [name for name in RULES if not name.startswith(OF_OURS)])
@pytest.mark.parametrize("algo", ["rllib/SAC", "rllib/PPO"])
def test_no_remedy_names_a_setting_that_the_algorithm_lacks(symptom: str, algo: str):
    other = describe_rllib_settings(algo, {})
    said = worded(RULES[symptom].remedy, other.values, names=other.names)
    ours = {field.name for field in fields(PPOSettings)} | {"group_size", "starts"}
    named = set(re.findall(r"`(\w+)", said)) & ours
    assert named <= set(other.names.values())
    lacking = set(RLLIB_NAMES) - set(other.names)
    assert not [name for name in lacking if f"`{RLLIB_NAMES[name][0]}" in said]
