# pyright: basic
"""An update in closed form ends at the weights of one by autograd."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from sick_objectives import replace_terms

from algos import ppo
from algos.learning import learner as learner_module
from algos.learning.closed_form import has_own_slopes, is_closed_form
from algos.models.mlp import MLPPolicy
from envs.validation import InputError

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


def learner_of(objective_class, **chosen):
    """A learner of CartPole by another objective, and rows to learn from."""
    small_rollout: dict[str, Any] = {"epochs": 2, "rollout_length": 32} | chosen
    built = small.learner(CARTPOLE, **small_rollout)
    built.objective = objective_class(built.objective.settings)
    rows, _ = small.runner(CARTPOLE, **small_rollout).sample()
    return built, built.objective.preprocess_batch(rows)[0]


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """Make the objective of a copy of ppo.py with one change."""

    def make(old, new):
        source = Path(ppo.__file__).read_text()
        assert source.count(old) == 1
        (tmp_path / "copied.py").write_text(source.replace(old, new))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "copied", raising=False)
        return importlib.import_module("copied").PPOObjective

    return make


def test_a_subclass_trains_by_its_own_loss():
    nothing = replace_terms(ppo.PPO, lambda terms, _: {n: 0 * t for n, t in terms.items()})
    built, rows = learner_of(nothing.objective_class)
    before = built.module[DEFAULT_MODULE_ID].get_state()
    small.updated(built, rows)
    after = built.module[DEFAULT_MODULE_ID].get_state()
    assert small.same_weights(before, after)


def test_derivatives_are_used_with_the_loss_of_the_same_class_only():
    plain = ppo.PPOObjective
    other_loss = type("OtherLoss", (), {"loss": plain.loss})
    other_slopes = type("OtherSlopes", (plain,), {"compute_slopes": plain.compute_slopes})
    hooks = {"compute_advantages": plain.compute_advantages}
    assert has_own_slopes(plain) and has_own_slopes(type("Rows", (plain,), hooks))
    assert not has_own_slopes(type("Mixed", (other_loss, plain), {}))
    assert not has_own_slopes(other_slopes)
    assert has_own_slopes(type("Both", (plain,), dict(vars(other_slopes)) | vars(other_loss)))


CHANGES = {
    "sign": ("average_over_rows(surrogate),", "-average_over_rows(surrogate),"),
    "weight": ("average_over_rows(surrogate),", "1.01 * average_over_rows(surrogate),"),
    "value": ("0.5 * s.value_coef * error", "s.value_coef * error"),
    "entropy": ('coefficients["entropy_coef"], s', '2 * coefficients["entropy_coef"], s'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_copied_file_whose_loss_alone_was_changed_is_refused(name, copied):
    built, rows = learner_of(copied(*CHANGES[name]))
    with pytest.raises(InputError, match=r"copied\.PPOObjective"):
        small.updated(built, rows)


def test_a_copied_file_as_it_was_trains_by_its_derivatives(copied):
    built, rows = learner_of(copied("Weight of the value error.", "The same."))
    assert built._get_trained_parts(built.objective).closed_form
    small.updated(built, rows)
    assert not built.slopes_check.differs


def test_a_single_difference_is_no_error_and_the_next_minibatch_decides(copied):
    sick = copied("0.5 * s.value_coef * error", "s.value_coef * error")
    built, rows = learner_of(sick, epochs=1)  # the last minibatch is the compared one
    small.updated(built, rows)
    assert built.slopes_check.differs
    built.objective = ppo.PPOObjective(built.objective.settings)
    small.updated(built, rows)
    assert not built.slopes_check.differs


def test_a_network_that_was_changed_has_no_closed_form():
    built = small.learner(CARTPOLE)
    network = built._get_policy_network()
    assert network.is_closed_form
    network.__class__ = type("Other", (MLPPolicy,), {})
    assert not network.is_closed_form
