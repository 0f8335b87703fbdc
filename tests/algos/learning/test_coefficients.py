# pyright: basic
"""What each coefficient of PPO does, it does in the right direction."""

from typing import Any

import numpy as np
import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID

from algos.ppo import PPOObjective

BASE = {"epochs": 2, "lr": 0.01, "hidden": (8,)}


def rows(settings):
    """Fixed steps with the credit that these settings give them; 8 steps of 4 copies."""
    objective = PPOObjective(settings)
    return objective.preprocess_batch(objective.compute_advantages(small.rollout((8, 4))))[0]


def learnt(updates=2, progress=0.5, **changed: Any):
    """The parameters [P] after some updates on the fixed steps, and the last metrics."""
    learner = small.learner("toy_worlds:Bandit-v0", **BASE | changed)
    metrics = {}
    for _ in range(updates):
        metrics = small.updated(learner, rows(learner.objective.settings), progress)
    parameters = learner.module[DEFAULT_MODULE_ID].parameters()
    return torch.cat([p.detach().flatten() for p in parameters]), metrics, learner


# Each in the right direction.


def gradient(**changed: Any):
    """The gradient [P] of the loss over all fixed steps at once."""
    learner = small.learner("toy_worlds:Bandit-v0", **BASE | changed)
    module = learner.module[DEFAULT_MODULE_ID]
    batch = rows(learner.objective.settings).to_torch()
    small.loss("ppo", module(batch), batch, learner.objective.settings).backward()
    return torch.cat([p.grad.flatten() for p in module.parameters()])


@pytest.mark.parametrize("name", ["value_coef", "entropy_coef", "kl_coef", "diversity_coef"])
def test_a_weight_is_a_weight_twice_as_much_pulls_twice_as_hard(name):
    none, once, twice = (gradient(**{name: weight}) for weight in (0.0, 0.4, 0.8))
    assert (once - none).abs().max() > 1e-4
    torch.testing.assert_close(twice - none, 2 * (once - none), atol=1e-6, rtol=1e-3)


def after_updates(name, weights, metric):
    return [learnt(updates=8, **{name: weight})[1][metric] for weight in weights]


@pytest.mark.parametrize(
    ("name", "metric", "sign"),
    [
        ("entropy_coef", "entropy", 1),
        ("kl_coef", "kl", -1),
        ("diversity_coef", "choice_entropy", 1),
        ("value_coef", "value_loss", -1),
    ],
)
def test_a_larger_weight_moves_its_own_metric_the_right_way(name, metric, sign):
    little, much = after_updates(name, (0.0, 3.0), metric)
    assert sign * (much - little) > 1e-3


def test_the_epochs_stop_once_the_policy_has_moved_far_enough():
    _, without, _ = learnt(updates=1, epochs=6)
    _, limited, _ = learnt(updates=1, epochs=6, kl_limit=1e-4)
    _, generous, _ = learnt(updates=1, epochs=6, kl_limit=100.0)
    assert (without["epochs_run"], limited["epochs_run"], generous["epochs_run"]) == (6, 1, 6)
    assert limited["updates"] == without["updates"] / 6
    assert limited["kl"] > 1e-4


def test_the_learning_rate_follows_warm_up_and_schedule():
    schedule = {"lr": 0.01, "lr_schedule": "linear", "lr_end": 0.002, "warmup": 0.2}
    # Five iterations: the rate falls by the begin of an update, which is 0.2 earlier.
    rates = [learnt(1, progress, **schedule)[1]["lr"] for progress in (0.0, 0.1, 0.2, 0.8, 1.0)]
    assert rates == pytest.approx([0, 0.005, 0.01, 0.006, 0.004])


def test_the_entropy_weight_follows_its_schedule():
    schedule = {"entropy_coef": 0.1, "entropy_schedule": "exponential", "entropy_end": 0.001}
    weights = [learnt(1, progress, **schedule)[1]["entropy_coef"] for progress in (0, 0.5, 1)]
    assert weights == pytest.approx([0.1, 0.01, 0.001])


def test_the_gradient_norm_is_limited_and_it_is_said_how_often():
    _, clipped, _ = learnt(grad_clip=1e-3)
    _, free, _ = learnt(grad_clip=0.0)
    assert clipped["grad_clip_fraction"] == 1 and free["grad_clip_fraction"] == 0
    assert clipped["grad_norm"] > 1e-3  # the norm before clipping
    assert free["grad_clip"] == 0


@pytest.mark.parametrize(("target", "expected"), [(1.0, 0.3 * 1.1**3), (1e-6, 0.3 / 1.1**3)])
def test_the_entropy_weight_is_steered_after_every_update(target, expected):
    _, metrics, learner = learnt(3, entropy_coef=0.3, entropy_target=target)
    assert learner.coefficients["entropy_coef"] == pytest.approx(expected)
    assert metrics["entropy_coef"] == pytest.approx(expected * (1.1 if target < 0.5 else 1 / 1.1))


def test_a_nonfinite_gradient_changes_nothing_and_is_counted():
    learner = small.learner("toy_worlds:Bandit-v0", **BASE)
    before = {n: w.clone() for n, w in learner.module[DEFAULT_MODULE_ID].state_dict().items()}
    bad = rows(learner.objective.settings)
    bad["advantages"][:] = np.nan
    metrics = small.updated(learner, bad)
    after = learner.module[DEFAULT_MODULE_ID].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert metrics["updates_skipped"] == metrics["updates"] == 8


def test_a_learner_state_determines_the_next_update():
    changed: dict[str, Any] = {"entropy_coef": 0.3, "entropy_target": 0.99}
    _, _, first = learnt(**changed)
    state = first.get_state()
    second = small.learner("toy_worlds:Bandit-v0", seed=9, **BASE | changed)
    second.set_state(state)
    assert second.coefficients == first.coefficients
    for learner in (first, second):
        small.updated(learner, rows(learner.objective.settings))
    one, two = (x.module[DEFAULT_MODULE_ID].state_dict() for x in (first, second))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_an_older_state_is_taken_over_as_well():
    _, _, learner = learnt(updates=1)
    old = learner.get_state()
    weights = {name: np.array(w) for name, w in old["rl_module"][DEFAULT_MODULE_ID].items()}
    small.updated(learner, rows(learner.objective.settings))
    moved = learner.get_state()["rl_module"][DEFAULT_MODULE_ID]
    assert not small.same_weights(weights, moved)
    old["rl_module"][DEFAULT_MODULE_ID] = weights
    learner.set_state(old)
    assert small.same_weights(weights, learner.get_state()["rl_module"][DEFAULT_MODULE_ID])


# Settings that cannot work are refused.


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"entropy_coef": 0.0, "entropy_target": 0.5}, "entropy_coef must be greater than 0"),
        ({"entropy_schedule": "exponential"}, "entropy_end must be greater than 0"),
        ({"lr_schedule": "exponential"}, "lr_end must be greater than 0"),
        ({"clip": 0.0}, "clip must be greater than 0, but it is 0.0"),
        ({"gamma": 1.5}, r"gamma must be in \[0, 1\], but it is 1.5"),
        ({"warmup": 1.0}, "warmup must be in .*but it is 1.0"),
        ({"hidden": ()}, "hidden must hold widths of at least 1"),
        ({"model": "set", "hidden": (6,)}, "hidden must start with a multiple of 4"),
        ({"minibatch_size": 17}, "minibatch_size must be at most the 16 steps"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_a_sentence(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        small.settings(**changed)
