# pyright: basic
"""What a learner reports of its gradients and keeps of its updates, worked out by hand."""

import math
from dataclasses import replace

import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData

from algos.learning.learner import (
    CLONE,
    DIAGNOSTICS_INTERVAL,
    MEASURED_MINIBATCHES,
    PROGRESS,
    _clip_gradients,
    _compute_term_grad_norms,
    _compute_update_ratio,
    _step_optimisers,
)

CARTPOLE = "CartPole-v1"


def test_gradients_are_scaled_to_the_limit_and_not_beyond():
    one, two = torch.tensor([3.0]), torch.tensor([[4.0]])
    assert _clip_gradients([one, two], 0.0) == 5 and (one.item(), two.item()) == (3, 4)
    assert _clip_gradients([one, two], 5.0) == 5 and one.item() == 3
    assert _clip_gradients([one, two], 2.5) == 5
    assert (one.item(), two.item()) == pytest.approx((1.5, 2), rel=1e-5)
    alone = torch.tensor([3.0, 4.0])
    assert _clip_gradients([alone], 1.0) == 5 and alone.tolist() == pytest.approx(
        [0.6, 0.8], rel=1e-5
    )
    broken = torch.tensor([math.inf])
    assert _clip_gradients([broken, one], 1.0) == math.inf and one.item() == pytest.approx(1.5)


def test_a_step_on_broken_gradients_is_skipped_and_cleared():
    p = torch.nn.Parameter(torch.tensor([1.0]))
    unused = torch.nn.Parameter(torch.tensor([1.0]))
    stepper = torch.optim.SGD([p], lr=1.0)
    p.grad = torch.tensor([0.5])
    assert _step_optimisers([stepper], [p, unused], 0.0) == 0.5
    assert p.item() == 0.5 and p.grad is None
    p.grad = torch.tensor([math.nan])
    assert math.isnan(_step_optimisers([stepper], [p, unused], 0.0))
    assert p.item() == 0.5 and p.grad is None


def test_each_terms_gradient_is_measured_by_itself():
    a, b = torch.nn.Parameter(torch.tensor([1.0, 2.0])), torch.nn.Parameter(torch.tensor(1.0))
    terms = {"both": 3 * a.sum() + 4 * b, "mean": 2 * a, "detached": a.detach()}
    found = _compute_term_grad_norms(terms, [a, b])
    expected = {"both": math.sqrt(9 + 9 + 16), "mean": math.sqrt(2), "detached": 0}
    assert found == pytest.approx({f"grad_norm_{name}": v for name, v in expected.items()})


def test_a_change_is_over_the_norm_of_what_was_there():
    before = [torch.tensor([3.0]), torch.tensor([4.0])]
    after = [torch.nn.Parameter(torch.tensor([x])) for x in (3.0, 5.0)]
    assert _compute_update_ratio(before, after) == pytest.approx(0.2)
    assert _compute_update_ratio([torch.zeros(1)], [torch.nn.Parameter(torch.zeros(1))]) == 0


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
    for progress, lr in ((0.1, 0.2), (0.2, 0.4), (0.6, 0.2), (1.0, 0.0)):
        assert small.updated(learner, rows, progress)["lr"] == pytest.approx(lr)


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
    assert found["epochs_run"].peek() == 3
