# pyright: basic
"""The ids: what Gymnasium makes of them, and what it says when it cannot."""

import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import envs


@pytest.mark.parametrize("name", envs.FAMILIES)
def test_every_id_passes_gymnasiums_own_check(name):
    check_env(gymnasium.make(f"envs:{name}").unwrapped, skip_render_check=True)


@pytest.mark.parametrize("name", envs.FAMILIES)
def test_every_id_makes_a_native_batch(name):
    env = gymnasium.make_vec(f"envs:{name}", num_envs=3, vectorization_mode="vector_entry_point")
    assert env.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space


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


def test_the_families_are_registered_with_the_import_of_gymnasium():
    code = """
import importlib.util, sys, envs
assert "gymnasium" not in sys.modules
importlib.util.find_spec("gymnasium")  # to find it is not to import it
import gymnasium
assert set(envs.FAMILIES) <= set(gymnasium.registry)
assert gymnasium.__spec__.loader is gymnasium.__loader__
assert type(gymnasium.__loader__).__module__ != "envs.gymnasium_import"
assert not any(type(finder).__module__ == "envs.gymnasium_import" for finder in sys.meta_path)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
