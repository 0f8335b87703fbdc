# pyright: basic
"""A project of a user whose folders have the names of our packages: checked and trained in."""

import os
import subprocess
import sys

import pytest
from command_line import answer, command
from paths import ROOT

WALK = """
import gymnasium, numpy as np
from envs.common import LENGTH
from tests.helpers import STEP


class Walk(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.np_random.uniform(-0.5, 0.5)
        return np.array([self.at], np.float32), {}

    def step(self, action):
        self.at = float(np.clip(self.at + (STEP if action else -STEP), -1, 1))
        return np.array([self.at], np.float32), -abs(self.at), False, False, {}


gymnasium.register("Walk-v0", Walk, max_episode_steps=LENGTH)
"""
FILES = {
    "envs/__init__.py": "from nowhere import nothing\n",  # ours is the package: it is never run
    "envs/common.py": "LENGTH = 20\n",
    "envs/walk.py": WALK,
    "algos/__init__.py": "",
    "algos/mine.py": "",
    "cluster.py": "raise SystemExit\n",
    "tests/__init__.py": "",
    "tests/helpers.py": "STEP = 0.1\n",
    "tune_jobs/__init__.py": "raise SystemExit\n",
    "walks.py": "import algos.mine, envs.walk\n",
    "sums.py": "import envs.walk, envs.zoo\nenvs.zoo.SUMS\n",
    "envs/zoo.py": "SUMS = {}\n",
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "walks"
version = "1"
[tool.setuptools]
packages = ["envs", "algos", "tune_jobs", "tests"]
py-modules = ["walks"]
""",
}
SHORT = ("--iterations", 1, "--settings.num-env-runners", 1, "--cpus", 2, "--episodes", 0)


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run(*words, cwd, path=()):
    """Call ``rungwise`` where these folders are found before ours."""
    places = os.pathsep.join(map(str, (*path, ROOT)))
    env, words = os.environ | {"PYTHONPATH": places}, command(*words, "--json")
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True)


def install(project, site, how):
    """Install the project into a folder of its own: its files, or a line that leads to them."""
    if how == "link":
        site.mkdir()
        (site / "walks.pth").write_text(f"{project}\n")
    else:
        words = ["-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", "--target"]
        editable = ["--editable"] if how == "editable" else []
        subprocess.run([sys.executable, *words, site, *editable, project], check=True)
    # What a site directory of Python does by itself: its .pth files are read.
    (site / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({str(site)!r})\n")


def test_a_module_that_ours_hides_is_refused_with_both_files(project):
    said = answer(run("check", "sums:Walk-v0", cwd=project))["error"]
    assert said["kind"] == "input"
    for folder in (project, ROOT):
        assert str(folder / "envs" / "zoo.py") in said["message"]


@pytest.mark.system
def test_environments_of_the_project_are_checked(project):
    for name in ("envs.walk:Walk-v0", "walks:Walk-v0"):
        said = answer(run("check", name, cwd=project))
        assert said.get("env") == name, said


@pytest.mark.system
@pytest.mark.parametrize(
    "how",
    # Both of the last two find the project by what is beside the wheel's place, half a minute each.
    [
        "folder",
        "wheel",
        *(pytest.param(how, marks=pytest.mark.slow) for how in ("link", "editable")),
    ],
)
def test_workers_find_the_environments_of_the_project(project, tmp_path, how):
    elsewhere, site = tmp_path / "elsewhere", tmp_path / "site"
    elsewhere.mkdir()
    if how != "folder":
        install(project, site, how)
    cwd, path = (project, ()) if how == "folder" else (elsewhere, (site,))
    done = run(
        *("train", "--env", "walks:Walk-v0", *SHORT, "--out", tmp_path / "run"), cwd=cwd, path=path
    )
    assert done.returncode == 0, done.stderr
    assert answer(done)["end_reason"] == "budget"
