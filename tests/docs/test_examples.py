# pyright: basic
"""Every example runs as written."""

import os
import subprocess
import sys

import pytest
from command_line import answer, rungwise
from paths import ROOT

pytestmark = pytest.mark.system

EXAMPLES = ROOT / "docs" / "examples"
PRINTED = {
    "train_cartpole.py": "one episode with the trained policy",
    "environment.py": "switch_at_target: mean discomfort 0.",
    "action_kind.py": "LogScaleHead: mean return -0.",
    "algorithm.py": "after 20 iterations",
    "health_rule.py": "unstable: 1 findings",
    "read_ledger.py": "asha: ",
}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_runs(path, tmp_path):
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(path), *_arguments(path, tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert PRINTED[path.name] in done.stdout


def _arguments(path, tmp_path):
    return [str(tmp_path / "run")] if "RUN_DIRECTORY" in path.read_text() else []


def test_example_environment_passes_check_and_beats_random(tmp_path):
    (tmp_path / "environment.py").write_text((EXAMPLES / "environment.py").read_text())
    env = "environment:Heating-v0"
    checked = rungwise("check", env, "--json", cwd=tmp_path)
    assert answer(checked)["findings"] == [], checked.stderr
    train = ("train", "--env", env, "--iterations", 3, "--cpus", 1, "--json")
    done = rungwise(*train, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    checkpoint = answer(done)["checkpoint"]
    baselines = answer(rungwise("evaluate", checkpoint, "--json", cwd=tmp_path))["baselines"]
    assert set(baselines) == {"greedy", "random", "switch_at_target"}
    assert baselines["switch_at_target"]["mean"] < baselines["random"]["mean"]
