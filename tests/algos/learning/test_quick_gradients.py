# pyright: basic
"""An update on NumPy ends at the weights of one by autograd, whatever the loss is."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from sick_objectives import replace_terms

from algos import ppo
from algos.learning import quick_gradients
from algos.learning.learner import ColumnLearner
from algos.learning.quick_gradients import QuickGradients
from algos.learning.update_log import measure_loss
from algos.losses.loss_expressions import differentiable
from algos.models.mlp import MLPPolicy
from algos.objective import Loss

CARTPOLE, PENDULUM, CAUSAL = "CartPole-v1", "Pendulum-v1", "envs:CausalLearning-v0"
MASKED = "toy_worlds:Masked-v0"
CASES = {
    "ppo": (CARTPOLE, "ppo", {}),
    "ppo, kl and no entropy": (CARTPOLE, "ppo", {"kl_coef": 0.5, "entropy_coef": 0.0}),
    "ppo, one epoch of three": (CARTPOLE, "ppo", {"epochs": 3, "kl_limit": 1e-9}),
    "astar_po, one epoch": (CAUSAL, "astar_po",
        {"model": "mlp", "bins": 5, "minibatch_size": 1, "kl_limit": 1e-9}),
    "dpo, one epoch": (CARTPOLE, "dpo",
        {"minibatch_size": 1, "rollout_length": 64, "kl_limit": 1e-9}),
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


def leave_to_autograd(monkeypatch):
    """Learners take their gradients from autograd; runners act as before."""
    find = ColumnLearner._get_trained_parts
    monkeypatch.setattr(
        ColumnLearner,
        "_get_trained_parts",
        lambda *args: find(*args)._replace(on_numpy=False),
    )


def update(env, algo, chosen, on_numpy, monkeypatch):
    """The weights after two updates, the metrics of the second, and the minibatches on NumPy."""
    taken = []
    compute = QuickGradients._compute_upstream

    def count(*args):
        upstream = compute(*args)
        taken.append(upstream is not None)
        return upstream

    monkeypatch.setattr(QuickGradients, "_compute_upstream", count)
    if not on_numpy:
        leave_to_autograd(monkeypatch)
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
    assert all(taken), "a minibatch was left to autograd"
    return built.module[DEFAULT_MODULE_ID].get_state(), metrics, len(taken)


class Unknown(ppo.PPOObjective):
    """Of another author, who has the KL among the metrics."""

    def loss(self, *args):
        """Return the same loss."""
        found = super().loss(*args)
        return Loss(found.terms, lambda: measure_loss(found))


@pytest.mark.parametrize(
    ("objective", "limit", "epochs", "losses"),
    [
        (ppo.PPOObjective, 0.0, 3, 4),  # the last minibatches of the last epoch
        (ppo.PPOObjective, 1e9, 3, 4),
        (ppo.PPOObjective, 1e-12, 1, 1),
        (Unknown, 1e9, 3, 4 + 2),
    ],
)
def test_only_an_epoch_that_may_be_the_last_has_a_loss(
    objective, limit, epochs, losses, monkeypatch
):
    chosen = {"epochs": 3, "minibatch_size": 8, "kl_limit": limit}
    built, rows = learner_of(objective, **chosen)
    small.updated(built, rows)  # the first gradient is compared with that of a loss
    computed = count_losses(monkeypatch)
    assert small.updated(built, rows)["epochs_run"] == epochs
    assert len(computed) == losses


def count_losses(monkeypatch):
    """Return a list that grows with each loss that is computed without a gradient."""
    computed, compute = [], QuickGradients.compute_loss
    monkeypatch.setattr(
        QuickGradients, "compute_loss", lambda *a: computed.append(0) or compute(*a)
    )
    return computed


@pytest.mark.parametrize("name", CASES)
def test_the_kl_of_every_algorithm_is_known_without_a_loss(name, monkeypatch):
    env, algo, chosen = CASES[name]
    losses = []
    for limit in (0.0, 1e9):
        computed = count_losses(monkeypatch)
        update(env, algo, chosen | {"epochs": 3, "kl_limit": limit}, True, monkeypatch)
        losses.append(len(computed))
    assert losses[0] == losses[1] > 0


def test_an_objective_may_ask_for_metrics_without_a_limit():
    class Asking(ppo.PPOObjective):
        def should_stop_epochs(self, measure):
            return float(measure()["kl"]) > 1e-12

    built, rows = learner_of(Asking, epochs=5, minibatch_size=8)
    small.updated(built, rows)
    found = small.updated(built, rows)
    assert found["epochs_run"] == 1 and found["kl"] > 0


@pytest.mark.parametrize("name", CASES)
def test_both_paths_end_at_the_same_weights(name, monkeypatch):
    env, algo, chosen = CASES[name]
    plain, expected, none = update(env, algo, chosen, False, monkeypatch)
    quick, found, taken = update(env, algo, chosen, True, monkeypatch)
    assert none == 0 and taken > 0
    for weight in plain:
        np.testing.assert_allclose(quick[weight], plain[weight], atol=2e-5, err_msg=weight)
    assert found.keys() == expected.keys()
    for metric in ("kl", "entropy", "grad_norm", "policy_loss", "value_loss", "epochs_run"):
        if metric in expected:
            assert found[metric] == pytest.approx(expected[metric], rel=1e-3, abs=1e-5), metric


def test_other_networks_are_left_to_autograd():
    def on_numpy(env=CARTPOLE, **chosen):
        built = small.learner(env, **chosen)
        return built._get_trained_parts(built.objective).on_numpy

    assert on_numpy()
    assert not on_numpy(temperature=2.0)
    assert not on_numpy("FrozenLake-v1")
    assert not on_numpy(CAUSAL, model="set")  # its own network reads a set
    assert not on_numpy(memory="gru", minibatch_size=32, rollout_length=32)


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


CHANGES = {
    "sign": ("average_over_rows(surrogate),", "-average_over_rows(surrogate),"),
    "weight": ("average_over_rows(surrogate),", "3 * average_over_rows(surrogate),"),
    "value": ("0.5 * s.value_coef * error", "s.value_coef * error"),
    "entropy": ('coefficients["entropy_coef"], s', '2 * coefficients["entropy_coef"], s'),
}


def weights_after(objective, monkeypatch, on_numpy, **chosen):
    """The weights after two updates, and the learner."""
    with monkeypatch.context() as patch:
        built, rows = learner_of(objective, **chosen)
        if not on_numpy:
            leave_to_autograd(patch)
        small.updated(built, rows)
        small.updated(built, rows)
    return built.module[DEFAULT_MODULE_ID].get_state()["policy.weight"], built


@pytest.mark.parametrize("name", CHANGES)
def test_a_copied_file_with_a_changed_loss_trains_by_that_loss(name, copied, monkeypatch):
    objective = copied(*CHANGES[name])
    plain, _ = weights_after(objective, monkeypatch, False)
    quick, built = weights_after(objective, monkeypatch, True)
    assert not built.quick_gradients.left_to_autograd
    np.testing.assert_allclose(quick, plain, atol=2e-5)
    unchanged, _ = weights_after(ppo.PPOObjective, monkeypatch, True)
    assert np.abs(quick - unchanged).max() > 1e-4


def with_policy_term(change):
    """PPO's objective whose term of the policy is what a function of forward and batch returns."""

    def loss(self, forward, batch, coefficients):
        healthy = ppo.PPOObjective.loss(self, forward, batch, coefficients)
        return replace(healthy, terms=healthy.terms | {"policy": change(forward, batch)})

    return type("Changed", (ppo.PPOObjective,), {"loss": loss})


UNKNOWN = {
    "a function": lambda forward, batch: torch.sinh(forward["dist"].logp(batch)),
    "the logits": lambda forward, batch: forward["dist"].logits.square().mean(),
    "other actions": lambda forward, batch: forward["dist"].logp({"choice": 0 * batch["choice"]}),
    "a decision": lambda forward, batch: (
        forward["value"] if forward["value"].sum() > 0 else -forward["value"]
    ),
    "a comparison": lambda forward, batch: (
        forward["value"] if forward["value"] is forward["dist"].logp(batch) or
        torch.equal(forward["value"], forward["value"]) else -forward["value"]
    ),
    "NumPy": lambda forward, batch: torch.as_tensor(np.asarray(forward["value"].detach())) + 1,
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_loss_that_asks_for_more_is_left_to_autograd(name, monkeypatch):
    objective = with_policy_term(UNKNOWN[name])
    plain, _ = weights_after(objective, monkeypatch, False)
    quick, built = weights_after(objective, monkeypatch, True)
    assert built.quick_gradients.left_to_autograd == {objective}
    np.testing.assert_allclose(quick, plain, atol=2e-6)


@differentiable(x=lambda x: x.of_a_tensor_only)
def double(x):
    return 2 * x


def read_tensors(self, batch):
    """Return the inputs of the network in a way that only tensors know."""
    inputs: Any = ppo.PPOObjective.build_network_inputs(self, batch)
    return inputs.with_columns(obs=inputs["obs"].float())


RAISING = {
    "a slope": with_policy_term(lambda forward, batch: double(forward["dist"].logp(batch))),
    "the inputs": type("Changed", (ppo.PPOObjective,), {"build_network_inputs": read_tensors}),
}


@pytest.mark.parametrize("name", RAISING)
def test_a_loss_that_numpy_cannot_run_is_left_to_autograd(name, monkeypatch):
    plain, _ = weights_after(RAISING[name], monkeypatch, False)
    quick, built = weights_after(RAISING[name], monkeypatch, True)
    assert built.quick_gradients.left_to_autograd == {RAISING[name]}
    np.testing.assert_allclose(quick, plain, atol=2e-6)


def refuse(x):
    if x.dtype != torch.int64:
        raise ValueError("This is a KL of whole numbers.")
    return x


refuse_arrays = differentiable()(refuse)


def test_a_kl_that_numpy_cannot_run_is_that_of_the_loss():
    class Refused(ppo.PPOObjective):
        def loss(self, forward, batch, coefficients):
            found = super().loss(forward, batch, coefficients)
            measure: Any = found.kl
            is_tensor = isinstance(forward["value"], torch.Tensor)
            check = (lambda kl: kl) if is_tensor else refuse_arrays
            return replace(found, kl=lambda: check(measure()))

    built, rows = learner_of(Refused, epochs=3, kl_limit=1e-12)
    small.updated(built, rows)
    assert small.updated(built, rows)["epochs_run"] == 1


@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_a_column_of_whole_numbers_may_divide(kind, monkeypatch):
    class Divided(ppo.PPOObjective):
        def preprocess_batch(self, rows):
            rows, metrics = super().preprocess_batch(rows)
            return rows.with_columns(length=(np.arange(len(rows)) % 5 + 1).astype(kind)), metrics

        def loss(self, forward, batch, coefficients):
            found = super().loss(forward, batch, coefficients)
            length = batch["length"]
            weight = (1 - length) / length + 1 / length + 1 / torch.exp(length)
            return replace(found, terms={n: term * weight for n, term in found.terms.items()})

    plain, _ = weights_after(Divided, monkeypatch, False)
    quick, built = weights_after(Divided, monkeypatch, True)
    assert bool(built.quick_gradients.left_to_autograd) == (kind is np.uint8)
    np.testing.assert_allclose(quick, plain, atol=2e-6)


def test_no_step_follows_a_gradient_that_is_not_the_loss_s(monkeypatch):
    def tell_apart(forward, batch):
        logp = forward["dist"].logp(batch)
        return logp if isinstance(logp, torch.Tensor) else -logp

    taken = []
    monkeypatch.setattr(quick_gradients, "_add_gradients", lambda *_: taken.append(0))
    objective = with_policy_term(tell_apart)
    _, built = weights_after(objective, monkeypatch, True)
    assert built.quick_gradients.left_to_autograd == {objective}
    assert not taken


def test_two_differences_in_a_row_decide_and_one_does_not(monkeypatch):
    distances = iter([1.0, 0.0, 1.0, 1.0])
    monkeypatch.setattr(quick_gradients, "_measure_distances", lambda *_: [next(distances)])
    # Compared are the first minibatch, that after a difference, and the last one of the update.
    built, rows = learner_of(ppo.PPOObjective, epochs=1)
    small.updated(built, rows)
    assert built.quick_gradients._differs
    assert not built.quick_gradients.left_to_autograd
    small.updated(built, rows)
    assert built.quick_gradients.left_to_autograd == {ppo.PPOObjective}


def test_a_mistake_of_the_loss_is_said(monkeypatch):
    objective = with_policy_term(lambda forward, batch: batch["advantage"])
    with pytest.raises(KeyError, match="advantage"):
        weights_after(objective, monkeypatch, True)


def test_a_network_that_was_changed_is_left_to_autograd():
    built = small.learner(CARTPOLE)
    network = built._get_policy_network()
    assert network.on_numpy
    network.__class__ = type("Other", (MLPPolicy,), {})
    assert not network.on_numpy
