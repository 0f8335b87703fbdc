# pyright: basic
"""The target of a check: names, arguments and small settings."""

import gymnasium
import pytest
import sick_worlds
from checks import check, get_severities

from rungwise.validation import InputError
from tune_jobs.check.check_target import load_check_target


def test_a_target_is_named_by_a_preset_a_family_or_an_id():
    preset = load_check_target("causal")
    assert preset.settings is not None
    assert preset.settings.hidden == (128, 128)
    assert preset.env == load_check_target("CausalLearning-v0").env == "envs:CausalLearning-v0"
    with pytest.raises(InputError, match="NoSuch"):
        load_check_target("NoSuch-v0")
    with pytest.raises(InputError, match="did you mean ppo"):
        load_check_target("CartPole-v1", "pop")


def test_arguments_that_are_missing_are_a_wrong_call():
    class Needy(sick_worlds.Targets):
        def __init__(self, size):
            self.length = size

    gymnasium.register("Needy-v1", Needy)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="--env-kwargs size VALUE"):
        load_check_target("Needy-v1")
    target = load_check_target("Needy-v1", env_kwargs={"size": 3})
    assert get_severities(check(target, "rewards")) == {}
    del gymnasium.registry["Needy-v1"]


def test_the_environment_of_an_rllib_algorithm_is_checked_and_its_policy_is_not():
    target = load_check_target("SickMillions-v0", "rllib/SAC")
    answer = check(target, "conformance", "rewards", "sampler", "overfit")
    assert answer["algo"] == "rllib/SAC"
    assert answer["judged"] == ["conformance", "rewards"]
    assert "rllib/SAC is RLlib's" in answer["not_judged"]["sampler"]
    (finding,) = answer["findings"]
    assert finding["symptom"] == "reward_scale"
    assert finding["remedy"].startswith("Multiply the rewards")


def test_an_rllib_algorithm_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match=r"rllib/SAK.*did you mean rllib/SAC"):
        load_check_target("CartPole-v1", "rllib/SAK")
