# pyright: basic
"""A causal model of the user's own: checked, trained on and compared on, as a command line."""

import pytest
import yaml
from command_line import answer, call, rungwise
from paths import DATA

from cluster.commands.jobs import QUICK_EPISODES

ENV = "CausalLearning-v0"
SPRINKLER = DATA / "causal_models" / "sprinkler.bif"
MODEL = """
domain: [-5, 5]
nodes:
  Rain: {noise: 1}
  Wet: {parents: {Rain: -1.5}, kind: tanh, noise: 0.1}
  Slow: {expr: cos(Wet) - 0.2*Rain**2, noise: 0.1}
"""


@pytest.mark.system
def test_a_custom_causal_model_is_trained_on_and_compared(tmp_path):
    (tmp_path / "my.yaml").write_text(MODEL)
    done = rungwise(
        *("train", "--env", ENV, "--env-kwargs.scm", "my.yaml", "--settings.model", "set"),
        *("--iterations", 2, "--evaluation-episodes", 4, "--cpus", 1, "--out", "run", "--json"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    checkpoint = tmp_path / answer(done)["checkpoint"]
    job = yaml.safe_load((tmp_path / "run" / "job.yaml").read_text())
    assert job["env_kwargs"]["scm"] == str(tmp_path / "my.yaml")
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("<svg role") == 11 and "<title>Slow " in page
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    own = answer(call("evaluate", checkpoint, "--quick", "--json", cwd=elsewhere))
    assert own["episodes"] == QUICK_EPISODES and own["env_kwargs"] == {}
    assert set(own["baselines"]) == {"greedy", "random", "round_robin", "parents_first"}
    words = ("evaluate", checkpoint, "--quick", "--episodes", 4, "--json", "--scm")
    other = answer(call(*words, SPRINKLER, cwd=elsewhere))
    assert other["episodes"] == 4 and other["policy"]["median"] > 0


def test_an_invalid_causal_model_is_refused_before_the_check(tmp_path):
    (tmp_path / "my.yaml").write_text("domain: [0, 1]\nnodes: {Rain: {}, B: {parents: [Rian]}}\n")
    done = call("check", ENV, "--scm", "my.yaml", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert "The model my.yaml cannot be used." in done.stderr
    assert "did you mean Rain" in done.stderr and "Traceback" not in done.stderr
