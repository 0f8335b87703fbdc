# pyright: basic
"""A model of one's own as command lines: checked, trained on, compared; families on one model."""

import json

import pytest
from command_line import answer, rungwise
from paths import DATA

from cluster.cli import run

# A training starts a Ray of its own, which on a busy machine takes minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SPRINKLER = DATA / "causal_models" / "sprinkler.bif"
RAIN = """
target: Slow
domain: [-5, 5]
nodes:
  Rain: {noise: 1}
  Wet: {parents: {Rain: -1.5}, kind: tanh, noise: 0.1}
  Slow: {expr: cos(Wet) - 0.2*Rain**2, noise: 0.1}
"""
LEARNT = {"median", "mean", "q90", "geometric_mean", "to_round_robin"}
DRIVEN = {
    *("episode_mean", "last3", "range_utilisation", "parent_accuracy", "episode_improvement"),
    *("gain_over_ols", "ols_or_better"),
}


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Runs a command line in this process, which has loaded torch already; what it answers."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        status = run([*map(str, words), "--json"])
        told = capsys.readouterr()
        assert status == 0, told.err
        return json.loads(told.out)

    return call


def trained(tmp_path, *words):
    """The checkpoint of a training that is over at once, by a process of its own."""
    small = ("--quick", "--settings.num-envs", 16, "--evaluation-episodes", 4)
    local = ("--settings.model", "set", "--cpus", 1, "--out", "run", "--json")
    done = rungwise("train", *words, *small, *local, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr
    return tmp_path / answer(done)["checkpoint"]


def compared(said, checkpoint, *words):
    return said("evaluate", checkpoint, "--episodes", 8, "--quick", *words)


@pytest.mark.parametrize("env", ["CausalLearning-v0", "CausalOptimisation-v0"])
@pytest.mark.parametrize("kind", ["network", "table"])
def test_a_model_from_a_file_is_checked_trained_on_and_compared(env, kind, tmp_path, said):
    pytest.importorskip("pgmpy")
    (tmp_path / "rain.yaml").write_text(RAIN)
    (tmp_path / "wet.bif").write_text(SPRINKLER.read_text())
    path = "wet.bif" if kind == "network" else "rain.yaml"
    optimised = env == "CausalOptimisation-v0"
    target = ("target", "grass") if optimised and kind == "network" else ()
    chosen = ("--env-kwargs", *target) if target else ()
    answered = said("check", env, "--scm", path, *chosen)
    assert {"conformance", "dependence", "credit", "gradients"} <= set(answered["judged"])
    assert not [f for f in answered["findings"] if f["severity"] == "stop"]
    flags = ("--env-kwargs.target", "grass") if target else ()
    checkpoint = trained(tmp_path, "--env", env, "--env-kwargs.scm", path, *flags)
    own = compared(said, checkpoint)
    rule = "obs_ols" if optimised else "round_robin"
    assert {"greedy", "random", rule} <= set(own["baselines"])
    for figures in (own["policy"], *own["baselines"].values()):
        assert (DRIVEN if optimised else LEARNT) <= set(figures)
    # Another model: one with a target of its own, or none.
    other = compared(said, checkpoint, "--scm", "toy_graph" if optimised else "ace5")
    expected = {"scm": "toy_graph", "curriculum": False} if optimised else {"scm": "ace5"}
    assert other["env_kwargs"] == expected | ({"target": ""} if target else {})


def test_a_family_policy_is_compared_on_names_and_files(tmp_path, said):
    pytest.importorskip("pgmpy")
    checkpoint = trained(tmp_path, "causal-families", "--settings.minibatch-size", 64)
    for scm, rules in [("ace5", {"parents_first"}), (SPRINKLER, {"parents_first"})]:
        found = compared(said, checkpoint, "--scm", scm)
        assert found["env_kwargs"]["like_family"] and rules <= set(found["baselines"])
        assert found["baselines"]["round_robin"]["to_round_robin"] == 1
