# pyright: basic
"""The README's environment, used as written."""

import re

import pytest
from command_line import answer, rungwise
from paths import ROOT

README = (ROOT / "README.md").read_text()


@pytest.fixture
def project(tmp_path):
    code = re.search(r"```python\n(.*?)```", README, re.S)
    assert code
    (tmp_path / "my_envs.py").write_text(code[1])
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


def test_readme_is_short():
    assert len(README.splitlines()) <= 150
