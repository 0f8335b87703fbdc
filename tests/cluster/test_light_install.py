# pyright: basic
"""The light install: judging logs needs neither Ray nor torch; all else says what to install."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from finished_run import write_finished_run
from foreign_logs import make_sick_results, write_columns, write_results
from health_runs import flat
from paths import ROOT
from programs import write_logger

from cluster.commands.groups import COMMANDS
from rungwise.optional_imports import TRAIN_PACKAGES

ENGINES = ("gymnasium", "nicegui", "ray", "torch")
HIDE = """
import os, sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in os.environ["HIDDEN"].split():
            os.write(2, f"IMPORTS {name}\\n".encode())
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
"""
"""Refuses the import of modules, as if they were not installed, and says so on stderr."""
CALL = HIDE + "import rungwise\nfrom cluster.cli import main\nmain(sys.argv[1:])\n"
CALL_EACH = (
    HIDE
    + """
import json
import rungwise
from cluster import cli
print(json.dumps({words[0]: cli.run(words) for words in json.loads(sys.argv[1])}))
"""
)
NOT_LIGHT = {
    "algos": [],
    "check": ["CartPole-v1"],
    "dashboard": [],
    "evaluate": ["run"],
    "export": ["run"],
    "fetch": ["file:///nowhere/run", "--out", "copy"],
    "resume": ["run"],
    "serve": ["run"],
    "service": [],
    "train": ["cartpole"],
    "tune": ["causal"],
}
"""Commands of the extra ``train``, with arguments that are right."""


@pytest.fixture
def logs(tmp_path):
    """Logs of another library, a run of Rungwise, and a program that logs."""
    write_results(tmp_path / "sick" / "result.json", make_sick_results())
    write_columns(
        tmp_path / "a.csv", step=list(range(0, 4000, 100)), **{"return": flat(40, seed=2)}
    )
    write_finished_run(tmp_path / "run")
    write_logger(tmp_path)
    return tmp_path


def light_calls(python):
    """The words of each light command, with its exit status."""
    program = [python, "train.py", "progress.csv", "5", "0"]
    return [
        (["doctor", "sick", "a.csv"], 1),
        (["doctor", "run"], 0),
        (["audit", "sick", "a.csv", "--workers", "1"], 0),
        (["explain", "kl_runaway"], 0),
        (["ledger", "run"], 0),
        (["watch", "--out", "watched", "--", *program], 0),
        (["report", "watched"], 0),
        (["tail", "watched"], 0),
        (["report", "watched", "run"], 0),
        (["presets"], 0),
        (["submit", "cartpole", "--run", "/runs/a", "--slurm", "--render"], 0),
        (["--help"], 0),
        (["--version"], 0),
    ]


def run_hidden(code, *words, cwd, hidden):
    env = os.environ | {"HIDDEN": " ".join(hidden)}
    words = [sys.executable, "-c", code, *words]
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True)


@pytest.mark.system
def test_an_install_leaves_nothing_in_the_checkout(tmp_path):
    checkout = tmp_path / "checkout"
    for name in ("envs", "algos", "tune_jobs", "cluster", "rungwise"):
        shutil.copytree(ROOT / name, checkout / name, ignore=lambda *_: ["__pycache__"])
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    before = sorted(checkout.rglob("*"))
    words = [sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps"]
    subprocess.run([*words, "--target", tmp_path / "site", checkout], check=True)
    assert sorted(checkout.rglob("*")) == before
    assert (tmp_path / "site" / "tune_jobs" / "check" / "findings.yaml").is_file()


@pytest.mark.system
@pytest.mark.parametrize("hidden", [ENGINES, sorted(TRAIN_PACKAGES)], ids=["engines", "all"])
def test_light_commands_import_no_engine(logs, hidden):
    for words, status in light_calls(sys.executable):
        done = run_hidden(CALL, *words, cwd=logs, hidden=hidden)
        assert done.returncode == status, (words, done.stderr)
        tried = set(re.findall(r"IMPORTS (\w+)", done.stderr)) & set(ENGINES)
        assert not tried, (words, tried)
    assert (logs / "watched" / "report.html").exists()
    assert (logs / "watched" / "ledger.parquet").exists() == ("pyarrow" not in hidden)


def test_every_other_command_says_what_to_install(logs):
    calls = [[name, *words] for name, words in NOT_LIGHT.items()]
    done = run_hidden(CALL_EACH, json.dumps(calls), cwd=logs, hidden=TRAIN_PACKAGES)
    assert done.returncode == 0, done.stderr
    statuses = json.loads(done.stdout.splitlines()[-1])
    assert statuses == dict.fromkeys(NOT_LIGHT, 2), done.stderr
    said = re.findall(r"^rungwise: (.*)$", done.stderr, re.M)
    assert len(said) == len(NOT_LIGHT)
    for sentence in said:
        assert re.fullmatch(r".* needs \w+, which .* pip install 'rungwise\[train\]'\.", sentence)
    assert not (logs / "runs").exists() and "Traceback" not in done.stderr


def test_every_package_of_the_extra_is_known():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    modules = {"scikit-learn": "sklearn"}

    def list_modules(lines):
        names = [re.split(r"[\[<>=]", line)[0] for line in lines]
        return {modules.get(name, name.replace("-", "_")) for name in names}

    assert list_modules(project["optional-dependencies"]["train"]) <= TRAIN_PACKAGES
    assert not list_modules(project["dependencies"]) & TRAIN_PACKAGES
    assert NOT_LIGHT.keys() <= COMMANDS.keys()


@pytest.mark.system
def test_a_light_install_runs_them(logs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("light")
    clone, venv = folder / "clone", folder / "venv"
    for package in ("envs", "algos", "tune_jobs", "cluster", "rungwise"):
        shutil.copytree(
            ROOT / package, clone / package
        )  # pip builds in the folder that it installs
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, clone)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    words = ["-q", "--disable-pip-version-check", "-c", ROOT / "constraints.txt", clone]
    subprocess.run([venv / "bin" / "pip", "install", *words], check=True)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def call(*words):
        words = [venv / "bin" / "rungwise", *words]
        return subprocess.run(words, cwd=logs, env=env, capture_output=True, text=True)

    for words, status in light_calls(str(venv / "bin" / "python")):
        done = call(*words)
        assert done.returncode == status, (words, done.stderr)
    done = call("train", "cartpole")
    assert done.returncode == 2 and "pip install 'rungwise[train]'" in done.stderr
    packages = {path.name for path in Path(venv).glob("lib/*/site-packages/*")}
    assert not packages & TRAIN_PACKAGES
