# pyright: basic
"""A policy over nodes may be judged on models of another size; any other one may not."""

import numpy as np
import pytest
import small

from algos.checkpoint import write_manifest
from algos.policy import Policy, save_policy
from envs.causal.learning.world import CausalLearning
from rungwise.validation import InputError
from tune_jobs.evaluation.evaluate import evaluate

pytestmark = pytest.mark.usefixtures("local_ray")
CAUSAL = "envs:CausalLearning-v0"


def policy(tmp_path, model, env=CAUSAL, **env_kwargs):
    with small.algorithm(env, env_kwargs, model=model) as algorithm:
        save_policy(algorithm, "ppo", tmp_path / "policy")
    write_manifest(tmp_path)
    return Policy.load(tmp_path)


def test_a_policy_of_small_models_is_evaluated_on_larger_ones(tmp_path):
    trained = policy(tmp_path, "set", scm="random", smallest=3, largest=4)
    evaluation = evaluate(trained, 4, 0, {"smallest": 6, "largest": 6})
    assert (evaluation.metric, evaluation.mode) == ("excess_risk", "min")
    assert set(evaluation.episodes) >= {"policy", "greedy", "random"}
    assert len(evaluation.episodes["policy"].choice_fractions) == 6
    assert evaluation.summarise("policy")["median"] > 0
    observation = {name: part[0] for name, part in _observations(6).items()}
    assert 0 <= trained.act(observation)["choice"] < 6


def test_a_policy_of_small_matrices_picks_edges_of_larger_ones(tmp_path):
    pytest.importorskip("pyamg")
    fields = {"objective": "fsai", "action": "edges", "observation": "graph", "solve": False}
    trained = policy(tmp_path, "graph", "envs:EdgeSelection-v0", size=4, **fields)
    evaluation = evaluate(trained, 2, 0, {"size": 6})
    assert {"policy", "greedy", "random"} <= set(evaluation.episodes)
    assert 0 < evaluation.summarise("greedy")["work_ratio"] < np.inf


def test_a_policy_of_one_size_is_refused_there_in_a_sentence(tmp_path):
    trained = policy(tmp_path, "mlp", scm="random", smallest=3, largest=4)
    with pytest.raises(
        InputError, match=r"for observations of .*nodes 4 x .*has .*nodes 6 x .*change what"
    ):
        evaluate(trained, 4, 0, {"largest": 6})


def test_a_policy_over_nodes_is_refused_for_other_features(tmp_path):
    trained = policy(tmp_path, "set", scm="random", smallest=3, largest=4)
    with pytest.raises(InputError, match=r"for observations of .*nodes 4 x .*has .*nodes 5 x"):
        evaluate(trained, 4, 0, {"scm": "ace5"})


def test_a_quick_check_omits_slow_parts_and_shows_baselines(tmp_path, monkeypatch):
    def competitors(world, keys):
        return {"cheat": {name: np.zeros(len(keys)) for name in world.episode_metrics}}

    monkeypatch.setattr(CausalLearning, "evaluate_competitors", competitors, raising=False)
    trained = policy(tmp_path, "set", scm="ace5")
    slow = {"posterior_variance_design"}
    quick = evaluate(trained, 4, 0, skip_slow_baselines=True)
    assert slow.isdisjoint(quick.episodes) and "parents_first" in quick.episodes
    assert quick.summarise("cheat").keys() == quick.summarise("policy").keys()
    assert slow <= set(evaluate(trained, 4, 0).episodes)


def _observations(size):
    import gymnasium

    made = gymnasium.make_vec(CAUSAL, num_envs=1, scm="random", smallest=size, largest=size)
    return made.reset(seed=0)[0]
