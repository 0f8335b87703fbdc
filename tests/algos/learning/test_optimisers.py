# pyright: basic
"""Which optimiser moves what, and that a checkpoint keeps what it remembers."""

from typing import Any

import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from torch import nn

from algos.learning.optimisers import make_optimisers, step_adam

WORLD = "envs:CausalLearning-v0"
SETS: dict[str, Any] = {
    "model": "set",
    "hidden": (16,),
    "num_envs": 4,
    "rollout_length": 8,
    "minibatch_size": 16,
}


def moved(kind, weight_decay=0.0, steps=1):
    """How far a step has moved each parameter of a small network along random gradients."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 16), nn.LayerNorm(16), nn.Linear(16, 8))
    with torch.no_grad():
        for p in net.parameters():
            p.normal_()
    before = [p.detach().clone() for p in net.parameters()]
    found = make_optimisers(kind, list(net.parameters()), 0.01, weight_decay)
    for _ in range(steps):
        for p in net.parameters():
            p.grad = torch.randn(p.shape)
        for optimiser, _ in found.values():
            optimiser.step()
    return [p.detach() - b for p, b in zip(net.parameters(), before, strict=True)], before


def test_muon_moves_matrices_equally_in_all_directions():
    def evenness(kind):
        values = torch.linalg.svdvals(moved(kind)[0][0])
        return float(values.min() / values.max())

    assert evenness("muon") > 0.5 > evenness("adamw")


def test_what_is_no_matrix_is_adamws_under_muon():
    muon, adamw = moved("muon")[0], moved("adamw")[0]
    assert sum(change.ndim != 2 for change in muon) == 4
    for ours, theirs in zip(muon, adamw, strict=True):
        assert torch.equal(ours, theirs) == (ours.ndim != 2)


def test_the_steps_of_muon_are_about_as_long_as_adamws():
    muon, adamw = moved("muon")[0][0], moved("adamw")[0][0]
    assert 0.1 < muon.norm() / adamw.norm() < 1


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_weight_decay_is_decoupled_except_for_adam(kind):
    with_decay, before = moved(kind, 0.5)
    without, _ = moved(kind)
    for shrunk, plain, weight in zip(with_decay, without, before, strict=True):
        torch.testing.assert_close(shrunk - plain, -0.01 * 0.5 * weight, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_restored_learner_goes_on_as_if_nothing_had_happened(kind):
    def learner(seed):
        chosen = SETS | {"optimiser": kind, "weight_decay": 0.1, "lr": 0.01}
        return small.learner(WORLD, seed=seed, **chosen)

    def weights(learner):
        return [p.detach().clone() for p in learner.module[DEFAULT_MODULE_ID].parameters()]

    runner = small.runner(WORLD, **SETS)
    rows = [runner.objective.preprocess_batch(runner.sample()[0])[0] for _ in range(2)]
    first, again = learner(0), learner(1)
    small.updated(first, rows[0])
    again.set_state(first.get_state())
    for each in (first, again):
        small.updated(each, rows[1])
    for one, other in zip(weights(first), weights(again), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


@pytest.mark.parametrize(("kind", "donor"), [("adamw", "adam"), ("muon", "adamw")])
def test_a_restored_learner_keeps_its_own_optimiser_and_weight_decay(kind, donor):
    rows = small.runner(WORLD, **SETS).sample()[0]
    source = small.learner(WORLD, **SETS, optimiser=donor)
    small.updated(source, source.objective.preprocess_batch(rows)[0])
    restored = small.learner(WORLD, **SETS, optimiser=kind, weight_decay=0.1)
    restored.set_state(source.get_state())
    for _, optimiser in restored.get_optimizers_for_module(DEFAULT_MODULE_ID):
        (group,) = optimiser.param_groups
        assert group["weight_decay"] == 0.1 and group.get("decoupled_weight_decay", True)
        # What the donor's optimiser remembers of the same parameters is kept.
        assert bool(optimiser.state) == (donor == "adam")
    small.updated(restored, source.objective.preprocess_batch(rows)[0])


def test_a_learning_rate_of_nothing_stops_every_optimiser():
    learner = small.learner(WORLD, **SETS, optimiser="muon", lr=0.0)
    runner = small.runner(WORLD, **SETS)
    rows = runner.objective.preprocess_batch(runner.sample()[0])[0]
    module = learner.module[DEFAULT_MODULE_ID]
    before = [p.detach().clone() for p in module.parameters()]
    small.updated(learner, rows)
    assert all(torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))
    learner.objective = learner.objective.__class__(small.settings(**SETS, lr=0.01))
    small.updated(learner, rows)
    changed = [not torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True)]
    assert {p.ndim for p, c in zip(module.parameters(), changed, strict=True) if c} >= {1, 2}


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_adam_on_arrays_steps_as_torch_does_and_either_goes_on_after_the_other(kind, weight_decay):
    def run(steppers):
        torch.manual_seed(0)
        params = [nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(3)),
                  nn.Parameter(torch.ones(2))]  # fmt: skip
        ((optimiser, _),) = make_optimisers(kind, params, 0.05, weight_decay).values()
        for step in steppers:
            for p in params[:2]:  # the last has no gradient
                p.grad = torch.randn(p.shape)
            step(optimiser)
        return params, optimiser.state_dict()["state"]

    def plain(optimiser):
        optimiser.step()

    expected, theirs = run([plain] * 6)
    for steppers in ([step_adam] * 6, [plain, step_adam, step_adam, plain, plain, step_adam]):
        params, state = run(steppers)
        for mine, p in zip(params, expected, strict=True):
            torch.testing.assert_close(mine, p, atol=1e-6, rtol=1e-5)
        for i, entry in theirs.items():
            for name, value in entry.items():
                torch.testing.assert_close(state[i][name], value, atol=1e-6, rtol=1e-5)
