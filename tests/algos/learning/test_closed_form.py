# pyright: basic
"""An update in closed form ends at the weights of one by autograd."""

import numpy as np
import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID

from algos.learning import learner as learner_module
from algos.learning.closed_form import is_closed_form

CARTPOLE, PENDULUM, CAUSAL = "CartPole-v1", "Pendulum-v1", "envs:CausalLearning-v0"
MASKED = "toy_worlds:Masked-v0"
CASES = {
    "ppo": (CARTPOLE, "ppo", {}),
    "ppo, kl and no entropy": (CARTPOLE, "ppo", {"kl_coef": 0.5, "entropy_coef": 0.0}),
    "ppo, small clip": (CARTPOLE, "ppo", {"clip": 0.01, "lr": 3e-3}),
    "ppo, relu and two depths": (CARTPOLE, "ppo",
        {"activation": "relu", "hidden": (8, 8), "value_hidden": (8,)}),
    "ppo, normalised": (PENDULUM, "ppo",
        {"normalise_observations": True, "normalise_values": True}),
    "ppo, values": (PENDULUM, "ppo", {"kl_coef": 0.5}),
    "ppo, spread that is not learnt": (PENDULUM, "ppo", {"log_std_schedule": "linear"}),
    "ppo, accumulated": (CARTPOLE, "ppo", {"accumulate": 2}),
    "ppo, masked": (MASKED, "ppo", {}),
    "ppo, choice with value": (CAUSAL, "ppo", {"model": "mlp", "bins": 5}),
    "ppo, adamw": (CARTPOLE, "ppo", {"optimiser": "adamw", "weight_decay": 0.01}),
    "reinforce, value": (PENDULUM, "reinforce", {"reference_kl_coef": 0.3}),
    "reinforce, moving average": (CARTPOLE, "reinforce", {"baseline": "moving_average"}),
    "reinforce, leave one out": (CARTPOLE, "reinforce", {"baseline": "leave_one_out"}),
    "grpo": (CARTPOLE, "grpo", {"reference_kl_coef": 0.0, "rollout_length": 64}),
    "grpo, reference": (CARTPOLE, "grpo", {"reference_kl_coef": 0.5, "rollout_length": 64}),
    "dpo": (CARTPOLE, "dpo", {"weights": "gap", "minibatch_size": 1, "rollout_length": 64}),
    "dpo, candidates": (CAUSAL, "dpo", {"pairs": "candidates", "model": "mlp", "bins": 5}),
    "astar_po": (CAUSAL, "astar_po", {"model": "mlp", "bins": 5, "minibatch_size": 1}),
    "astar_po, clipped": (CAUSAL, "astar_po",
        {"loss": "clipped_pg", "model": "mlp", "bins": 5, "minibatch_size": 1}),
}  # fmt: skip


def update(env, algo, chosen, closed, monkeypatch):
    """The weights after two updates, the metrics of the second, and the minibatches in closed
    form."""
    taken = []
    accumulate = learner_module.accumulate_gradients

    def count(*args):
        taken.append(args)
        accumulate(*args)

    monkeypatch.setattr(learner_module, "accumulate_gradients", count)
    if not closed:
        monkeypatch.setattr(learner_module, "is_closed_form", lambda *args: False)
    chosen = {"epochs": 2, "minibatch_size": 4, "num_envs": 4, "rollout_length": 16} | chosen
    built = small.learner(env, algo=algo, **chosen)
    runner = small.runner(env, algo=algo, **chosen)
    metrics = {}
    for seed in range(2):
        torch.manual_seed(seed)
        rows, _ = runner.sample()
        if algo == "astar_po":
            rows = rows.with_columns(v_star=np.zeros(len(rows), np.float32))
        rows, _ = built.objective.preprocess_batch(rows)
        metrics = small.updated(built, rows)
    monkeypatch.undo()
    return built.module[DEFAULT_MODULE_ID].get_state(), metrics, len(taken)


@pytest.mark.parametrize("name", CASES)
def test_both_paths_end_at_the_same_weights(name, monkeypatch):
    env, algo, chosen = CASES[name]
    plain, expected, none = update(env, algo, chosen, False, monkeypatch)
    closed, found, taken = update(env, algo, chosen, True, monkeypatch)
    assert none == 0 and taken > 0
    for weight in plain:
        np.testing.assert_allclose(closed[weight], plain[weight], atol=2e-5, err_msg=weight)
    assert found.keys() == expected.keys()
    for metric in ("kl", "entropy", "grad_norm", "policy_loss"):
        if metric in expected:
            assert found[metric] == pytest.approx(expected[metric], rel=1e-3, abs=1e-5), metric


def test_what_has_no_closed_form_is_left_to_autograd():
    def covered(env=CARTPOLE, algo="ppo", **chosen):
        built = small.learner(env, algo=algo, **chosen)
        return is_closed_form(built._get_policy_network(), built.objective)

    assert covered()
    assert not covered(diversity_coef=0.1)
    assert not covered(temperature=2.0)
    assert not covered("FrozenLake-v1")
    assert not covered(CAUSAL, model="set")  # its own network reads a set
    assert not covered(memory="gru", minibatch_size=32, rollout_length=32)
