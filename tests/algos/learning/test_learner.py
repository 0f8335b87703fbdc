# pyright: basic
"""What a learner reports of its gradients and keeps of its updates, worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData

from algos.learning.learner import CLONE, DIAGNOSTICS_INTERVAL, PROGRESS
from algos.learning.update_log import MEASURED_MINIBATCHES

CARTPOLE = "CartPole-v1"


@pytest.fixture
def rows():
    return small.runner(CARTPOLE, rollout_length=20).sample()[0]


def counted(learner, monkeypatch):
    """How often an update measures, and how often it examines the terms."""
    calls = {"measured": 0, "examined": 0}
    objective, examined = learner.objective, learner._compute_diagnostics

    class Counting(type(objective)):
        def loss(self, *args):
            healthy = super().loss(*args)

            def measure():
                calls["measured"] += 1
                return healthy.measure()

            return replace(healthy, measure=measure)

    def examining(*args):
        calls["examined"] += 1
        return examined(*args)

    monkeypatch.setattr(learner, "objective", Counting(objective.settings))
    monkeypatch.setattr(learner, "_compute_diagnostics", examining)
    return calls


def test_the_last_minibatches_of_the_last_epoch_are_measured(rows, monkeypatch):
    learner = small.learner(CARTPOLE, epochs=2, minibatch_size=8)
    calls = counted(learner, monkeypatch)
    metrics = small.updated(learner, rows)
    assert (MEASURED_MINIBATCHES, calls["measured"]) == (4, 4)
    assert (metrics["updates"], metrics["epochs_run"], metrics["updates_skipped"]) == (10, 2, 0)
    few = small.learner(CARTPOLE, epochs=3, minibatch_size=20, rollout_length=20)
    calls = counted(few, monkeypatch)
    small.updated(few, rows)
    assert calls["measured"] == 2


@pytest.mark.parametrize("model", [{}, {"memory": "gru", "sequence_length": 6}])
def test_the_moving_average_is_that_of_all_rows(model):
    chosen = {"algo": "reinforce", "baseline": "moving_average", "minibatch_size": 16, **model}
    rows, _ = small.runner(CARTPOLE, rollout_length=20, **chosen).sample()
    # Minibatches of 16, 16 and 8 rows, or of whole sequences, and returns that differ by row.
    rows = rows.with_columns(returns=np.arange(40, dtype=np.float32) ** 2)
    learner = small.learner(CARTPOLE, rollout_length=20, **chosen)
    small.updated(learner, rows)
    mean, weight = (learner.coefficients[f"average_{name}"] for name in ("return", "weight"))
    assert mean / weight == pytest.approx(rows["returns"].mean(), rel=1e-5)


def test_terms_are_examined_at_the_first_update_and_every_fourth(rows, monkeypatch):
    learner = small.learner(CARTPOLE, epochs=2)
    calls = counted(learner, monkeypatch)
    seen = []
    for _ in range(6):
        assert "grad_norm_policy" in small.updated(learner, rows)
        seen.append(calls["examined"])
    assert DIAGNOSTICS_INTERVAL == 4 and seen == [1, 1, 1, 1, 2, 2]


def test_a_state_holds_what_the_next_update_depends_on(rows):
    learner, other = small.learner(CARTPOLE), small.learner(CARTPOLE, seed=9)
    for _ in range(2):
        small.updated(learner, rows)
    state = learner.get_state()
    assert state["updates"] == 2 and state["diagnostics"]
    assert "reference" not in state
    other.set_state(state)
    assert (other.updates, other.diagnostics) == (2, learner.diagnostics)
    assert other.coefficients == learner.coefficients
    first, second = small.updated(learner, rows), small.updated(other, rows)
    assert first == pytest.approx(second)
    weights = learner.get_state(components="rl_module")
    assert "updates" not in weights


def test_the_learning_rate_follows_its_schedule(rows):
    own = {"lr": 0.4, "lr_schedule": "linear", "lr_end": 0.0, "warmup": 0.2}
    learner = small.learner(CARTPOLE, **own)
    # Five iterations: the rise counts the end of an update, the fall its begin.
    for progress, lr in ((0.1, 0.2), (0.2, 0.4), (0.4, 0.4), (0.6, 0.3), (1.0, 0.1)):
        assert small.updated(learner, rows, progress)["lr"] == pytest.approx(lr)


@pytest.mark.parametrize(("progress", "lr"), [(0.0, 0.4), (0.1, 0.4), (0.6, 0.2)])
def test_the_warm_start_has_no_warm_up(progress, lr, rows):
    own = {"lr": 0.4, "lr_schedule": "linear", "warmup": 0.2}
    learner = small.learner(CARTPOLE, **own)
    steps = {PROGRESS: progress, CLONE: True}
    found = learner.update(training_data=TrainingData(batch=rows), timesteps=steps)
    assert found[DEFAULT_MODULE_ID]["lr"] == pytest.approx(lr)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_budget_of_one_iteration_trains_at_the_full_rate(kind, rows):
    learner = small.learner(CARTPOLE, iterations=1, lr=0.4, lr_schedule=kind, warmup=0.2)
    assert small.updated(learner, rows, 1.0)["lr"] == pytest.approx(0.4)


def test_accumulated_minibatches_make_the_step_of_their_sum(rows):
    same = {
        "rollout_length": 20,
        "epochs": 1,
        "grad_clip": 0.0,
        "normalise_advantages": False,
        "optimiser": "adam",
    }
    one = small.learner(CARTPOLE, minibatch_size=40, **same)
    two = small.learner(CARTPOLE, minibatch_size=10, accumulate=4, **same)
    whole, parts = small.updated(one, rows), small.updated(two, rows)
    assert whole["updates"] == parts["updates"] == 1
    # Adam's step hardly depends on the gradient's scale, its norm does.
    assert parts["grad_norm"] == pytest.approx(whole["grad_norm"], rel=1e-4)
    # One minibatch, so the norm of the whole is at most the sum of those of its terms.
    terms = [whole[f"grad_norm_{name}"] for name in ("policy", "value")]
    assert max(terms) / 10 < whole["grad_norm"] <= sum(terms) * 1.01
    for a, b in zip(
        one.module[DEFAULT_MODULE_ID].parameters(),
        two.module[DEFAULT_MODULE_ID].parameters(),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_the_gradients_of_head_and_backbone_are_reported():
    runner = small.runner(CARTPOLE)
    rows, _ = runner.objective.preprocess_batch(runner.sample()[0])
    learner = small.learner(CARTPOLE, minibatch_size=16, epochs=1, value_coef=0.0)
    found = small.updated(learner, rows)
    # Of the whole gradient, as the critic's is zero.
    both = math.hypot(found["grad_norm_head"], found["grad_norm_backbone"])
    assert both == pytest.approx(found["grad_norm"], rel=1e-5) and found["grad_norm_head"] > 0


def test_the_kl_limit_does_not_hold_for_the_warm_start():
    runner = small.runner(CARTPOLE)
    learner = small.learner(CARTPOLE, kl_limit=1e-9, warm_start_epochs=3)
    data = TrainingData(batch=runner.sample()[0])
    steps = {PROGRESS: 0.1, CLONE: True}
    found = learner.update(training_data=data, timesteps=steps)[DEFAULT_MODULE_ID]
    assert found["epochs_run"] == 3
