# pyright: basic
"""The README's environment, used as written."""

import re
import subprocess
import sys

import pytest
from command_line import answer, rungwise
from paths import ROOT

README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.fixture
def project(tmp_path):
    (code,) = [block for block in PYTHON if "class Thermostat" in block]
    (tmp_path / "my_envs.py").write_text(code)
    return tmp_path


@pytest.mark.system
def test_readme_environment_passes_check_trains_and_is_evaluated(project):
    env = "my_envs:Thermostat-v0"
    checked = rungwise("check", env, "--json", cwd=project)
    assert answer(checked)["findings"] == [], checked.stderr
    done = rungwise(*("train", "--env", env, "--iterations", 3, "--cpus", 1, "--json"), cwd=project)
    assert done.returncode == 0, done.stderr
    evaluated = answer(rungwise("evaluate", answer(done)["checkpoint"], "--json", cwd=project))
    assert {"policy", "baselines"} <= set(evaluated)
    assert "return_mean" in evaluated["baselines"]["random"]


@pytest.mark.system
def test_readme_script_trains_and_is_judged(tmp_path):
    (code,) = [block for block in PYTHON if "rungwise.run" in block]
    command = [sys.executable, "-c", code.replace("iterations=30", "iterations=2")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^[\d.]+ trials/\S+ \[", done.stdout, re.M), done.stdout


def test_readme_is_short():
    assert len(README.splitlines()) <= 150


def read_rows(text):
    """The rows of all tables, as stripped cells."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_readme_has_the_figures_of_the_documentation():
    """A pair of the documentation is of drawn and of most likely actions; README has the first."""
    page = read_rows((ROOT / "docs" / "environments.md").read_text())
    rows = [row for row in read_rows(README) if re.fullmatch(r"\d+[kM]", row[1])]
    assert rows
    for environment, steps, ours, seconds, theirs, their_seconds in rows:
        (found,) = [r for r in page if r[0].split(" (")[0] == environment and r[1] == steps]
        drawn = [[p.split(" / ")[0] for p in cell.split(", ")] for cell in (found[2], found[4])]
        assert [cell.split(" (")[0].split(", ") for cell in (ours, theirs)] == drawn
        assert [seconds, their_seconds] == [found[3], found[5]]
