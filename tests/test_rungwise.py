# pyright: basic
"""The facade: its names, and that they cost nothing before they are used."""

import subprocess
import sys
from importlib import import_module
from typing import Any

import gymnasium
import pytest

import rungwise
from rungwise.moved_modules import MOVED
from tune_jobs.api import check_environment

NAMES = ("run", "Job", "Space", "Policy", "World", "Watch", "doctor", "check", "load_job")


def test_the_names_of_the_api_are_there():
    assert set(NAMES) <= set(rungwise.__all__) == set(dir(rungwise))
    assert all(getattr(rungwise, name) for name in rungwise.__all__)
    assert rungwise.check is check_environment
    with pytest.raises(AttributeError, match="no attribute 'tune'"):
        _ = rungwise.tune


def test_importing_it_waits_for_neither_torch_nor_ray():
    code = "import rungwise, sys; sys.exit(bool({'torch', 'ray'} & set(sys.modules)))"
    assert not subprocess.run([sys.executable, "-c", code]).returncode


@pytest.mark.parametrize("old", MOVED)
def test_import_from_old_place_names_new_place(old):
    new = MOVED[old].split()[0]
    with pytest.raises(ModuleNotFoundError, match=f"^{old} is now {new}"):
        import_module(f"{old}.anything")
    assert import_module(new)


def test_a_path_may_be_text(tmp_path):
    with pytest.raises(rungwise.InputError, match="nothing_here"):
        rungwise.doctor(str(tmp_path / "nothing_here"))


class Mine(gymnasium.Env):
    pass


@pytest.mark.parametrize("env", [Mine, Mine()])
def test_a_class_for_an_environment_is_told_its_name(env):
    job: Any = rungwise.Job
    with pytest.raises(rungwise.InputError, match=r'env="[a-z_.]*test_rungwise:Mine"'):
        job(env=env)
    with pytest.raises(rungwise.InputError, match=r"^env must be text"):
        job(env=5)
