# pyright: basic
"""A run finds the module of its environment from another folder, or says what to do."""

import importlib
import json
import os
import subprocess
import sys

import pytest

from cluster.commands.command import find_env_module
from rungwise.validation import InputError
from tune_jobs.env_module import FILE, describe_commit, remember_module, restore_module

MODULE = "remembered_envs.grid"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that began in the folder of its module, which this process has left."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "")
    package = tmp_path / "project" / "remembered_envs"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "grid.py").touch()
    directory = tmp_path / "runs" / "first"
    directory.mkdir(parents=True)
    sys.path.insert(0, str(package.parent))
    importlib.import_module(MODULE)
    remember_module(f"{MODULE}:Grid-v0", directory)
    leave(package.parent)
    yield directory
    leave()


def leave(folder=None):
    for name in ("remembered_envs", MODULE):
        sys.modules.pop(name, None)
    if folder is not None:
        sys.path.remove(str(folder))


def test_the_module_is_found_where_it_was(run, tmp_path):
    checkpoint = run / "trials" / "session-0" / "00" / "checkpoint_000001"
    sentence = restore_module(checkpoint, required=True)
    project = str(tmp_path / "project")
    assert project in sentence and MODULE in sentence and "commit" not in sentence
    assert importlib.import_module(MODULE) and os.environ["PYTHONPATH"] == project
    assert restore_module(checkpoint, required=True) == ""  # it is here by now


@pytest.mark.parametrize("content", [None, [], {"module": MODULE}, "inside"])
def test_a_damaged_file_and_code_that_came_with_the_run_are_passed_over(run, tmp_path, content):
    known = json.loads((run / FILE).read_text())
    inside = known | {"folder": str(run / "code")}
    (tmp_path / "project").rename(run / "code")
    (run / FILE).write_text(json.dumps(inside if content == "inside" else content))
    before = list(sys.path)
    assert restore_module(run, required=True) == "" and sys.path == before


def test_another_commit_is_said(run, tmp_path):
    project = tmp_path / "project"
    for words in (["init"], ["add", "."], ["commit", "-m", "First"]):
        name = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", project, *name, *words], check=True, capture_output=True)
    known = json.loads((run / FILE).read_text())
    (run / FILE).write_text(json.dumps(known | {"commit": "abcdef0123456789"}))
    assert "was at commit abcdef0123 then" in restore_module(run, required=True)


def test_a_module_that_is_nowhere_is_required_to_play_only(run, tmp_path):
    (tmp_path / "project").rename(tmp_path / "moved")
    assert restore_module(run, required=False) == ""
    with pytest.raises(InputError, match=r"`cd FOLDER`.*PYTHONPATH"):
        find_env_module(run / "trials", required=True)


def test_another_module_of_the_name_is_said(run, tmp_path):
    other = tmp_path / "other" / "remembered_envs"
    other.mkdir(parents=True)
    for name in ("__init__.py", "grid.py"):
        (other / name).touch()
    sys.path.insert(0, str(other.parent))
    assert restore_module(run, required=True) == f"The module {MODULE} is that of {other.parent}."


@pytest.mark.parametrize("env", ["CartPole-v1", "envs:CausalLearning-v0", "gymnasium:A-v0"])
def test_what_is_installed_needs_no_folder(env, tmp_path):
    remember_module(env, tmp_path)
    assert not (tmp_path / FILE).exists() and restore_module(tmp_path, required=True) == ""


def test_the_commit_is_that_of_the_module_or_of_the_working_directory(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert describe_commit(run) == ""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path / "project")]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    commit = describe_commit(run)
    assert len(commit) == 40
    (tmp_path / "project" / "remembered_envs" / "grid.py").write_text("x = 1\n")
    assert describe_commit(run) == f"{commit} with uncommitted changes"
    monkeypatch.chdir(tmp_path / "project")
    assert describe_commit(tmp_path).startswith(commit)  # remembers no module
