# pyright: basic
"""Imitation leaves nothing in the optimisers: training has moments of its own."""

from copy import deepcopy
from typing import Any

import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData

from algos.learning.learner import CLONE, PROGRESS

LR = 0.01
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    # Actor and critic of `mlp` are one parameter: imitation steps the critic, too, by 0.
    "adam": ("toy_worlds:Bandit-v0", {"normalise_observations": True}),
    "adamw": ("toy_worlds:Bandit-v0", {}),
    "muon": ("envs:CausalLearning-v0", {"model": "set"}),
}


def make_learner(kind, seed=0):
    """A learner whose update is a single step."""
    env, chosen = CASES[kind]
    steps = {"lr": LR, "epochs": 1, "minibatch_size": 16, "warm_start_epochs": 400}
    return small.learner(env, seed=seed, optimiser=kind, **steps, **chosen)


def collect_rows(kind):
    env, chosen = CASES[kind]
    runner = small.runner(env, **chosen)
    return runner.objective.preprocess_batch(runner.sample()[0])[0]


def imitate(learner, rows):
    data, steps = TrainingData(batch=rows), {PROGRESS: 0.0, CLONE: True}
    learner.update(training_data=data, timesteps=steps)


def copy_weights(learner):
    named = learner.module[DEFAULT_MODULE_ID].get_named_weights()
    return {name: weight.clone() for name, weight in named.items()}


def copy_moments(learner):
    return deepcopy([o.state_dict()["state"] for o in learner._named_optimizers.values()])


@pytest.mark.system
@pytest.mark.parametrize("kind", CASES)
def test_training_begins_with_fresh_moments_after_a_warm_start(kind):
    rows, warm = collect_rows(kind), make_learner(kind)
    imitate(warm, rows)
    begun = copy_weights(warm)
    fresh, resumed = make_learner(kind, seed=1), make_learner(kind, seed=2)
    resumed.set_state(warm.get_state())
    fresh.module[DEFAULT_MODULE_ID].set_state(warm.module[DEFAULT_MODULE_ID].get_state())
    fresh.generator.set_state(warm.generator.get_state())
    for learner in (warm, fresh, resumed):
        small.updated(learner, rows)
    expected = copy_weights(fresh)
    for learner in (warm, resumed):
        torch.testing.assert_close(copy_weights(learner), expected, atol=0, rtol=0)
    critic = [name for name in begun if name.startswith("critic")]
    moved = torch.cat([(expected[name] - begun[name]).flatten().abs() for name in critic])
    assert 0 < moved.max() <= LR * 1.001, "no step of Adam from fresh moments is longer"


@pytest.mark.system
@pytest.mark.parametrize("kind", CASES)
def test_imitation_in_between_leaves_the_moments_of_training(kind):
    rows, learner = collect_rows(kind), make_learner(kind)
    small.updated(learner, rows)
    moments, weights = copy_moments(learner), copy_weights(learner)
    imitate(learner, rows)
    torch.testing.assert_close(copy_moments(learner), moments, atol=0, rtol=0)
    imitated = copy_weights(learner)
    assert any(not torch.equal(imitated[name], weight) for name, weight in weights.items())
