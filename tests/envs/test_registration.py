# pyright: basic
"""The ids: what Gymnasium makes of them, and what it says when it cannot."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.batched import SingleEnv
from envs.causal.learning.reward import RewardTerms
from envs.validation import InputError


@pytest.mark.parametrize("name", envs.FAMILIES)
def test_every_id_passes_gymnasiums_own_check(name):
    check_env(gymnasium.make(f"envs:{name}").unwrapped, skip_render_check=True)


@pytest.mark.parametrize("name", envs.FAMILIES)
def test_every_id_makes_a_native_batch(name):
    env = gymnasium.make_vec(f"envs:{name}", num_envs=3, vectorization_mode="vector_entry_point")
    assert env.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space


def test_fields_of_the_parameters_are_keywords():
    env = gymnasium.make("envs:CausalLearning-v0", interventions=5, reward={"coverage": 10.0})
    params = cast("SingleEnv[Any]", env.unwrapped).world.params
    assert params.interventions == 5
    assert params.reward == RewardTerms(coverage=10.0)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"interventons": 3}, "no field 'interventons'.*did you mean interventions"),
        ({"reward": {"coverag": 1.0}}, "no field 'coverag'.*did you mean coverage"),
        ({"rows": 0}, "rows must be at least 1, but it is 0"),
        ({"rows": 2.5}, "rows must be a whole number, but it is 2.5"),
        ({"ridge": 0.0}, "ridge must be greater than 0"),
        ({"student": "tree"}, "one of 'bayes_linear', 'mlp', but it is 'tree'"),
        ({"reward": {"diversity_threshold": 2.0}}, r"must be in \[0, 1\], but it is 2.0"),
        ({"reward": 3}, "reward must be RewardTerms, but it is 3"),
    ],
)
def test_wrong_fields_are_refused_in_a_sentence(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        gymnasium.make("envs:CausalLearning-v0", **fields)


def test_a_package_without_its_neighbours_is_refused(tmp_path):
    shutil.copytree(Path(envs.__file__).parent, tmp_path / "envs")
    done = subprocess.run(
        [sys.executable, "-c", "import envs"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "ImportError: Rungwise's package envs is in" in done.stderr
    assert "environment of its own" in done.stderr


def test_the_table_lists_what_other_layers_need():
    family = envs.FAMILIES["CausalLearning-v0"]
    assert family.params is family.world.params_type
    assert family.description.endswith(".")
    assert family.name in gymnasium.registry
