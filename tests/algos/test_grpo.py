# pyright: basic
"""GRPO: an episode is worth its return compared with its group's, and nothing where all agree."""

from typing import Any

import numpy as np
import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from toy_worlds import Masked

from algos.grpo import GRPOObjective
from algos.rollouts.rollout import Rollout, mask_first_episodes

BANDIT = "toy_worlds:Bandit-v0"


def rollout(rewards, done):
    """The first episodes of some copies; what was seen and done does not matter."""
    rewards, shape = np.array(rewards, np.float32), np.shape(rewards)
    done, valid = mask_first_episodes(np.array(done, bool))
    zeros = np.zeros(shape, np.float32)
    columns = {
        "obs": np.arange(rewards.size * 2, dtype=np.float32).reshape(*shape, 2) / 10,
        "choice": np.zeros(shape, np.int64),
        "logp": np.full(shape, np.log(0.5), np.float32),
    }
    return Rollout(columns, rewards, zeros, zeros, done, valid)


# Two groups of two copies, three steps. Copy 0 ends after step 2, copy 1 after step 1: rewards
# after an end belong to nobody. Returns 1 + 2 = 3 and 1; 4 and 4.
BY_HAND = rollout(
    rewards=[[1, 1, 1, 4], [2, 9, 1, 0], [9, 9, 2, 0]],
    done=[[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1]],
)


def test_all_steps_share_the_group_advantage_of_the_episode():
    # Mean 2, sample standard deviation sqrt(2): (3 - 2) / sqrt(2) and its opposite.
    rows = GRPOObjective(small.settings("grpo")).compute_advantages(BY_HAND)
    a = 1 / (np.sqrt(2) + 1e-4)
    # Time-major rows: step 0 of all copies, step 1 without copy 1, step 2 without copies 0 and 1.
    np.testing.assert_allclose(rows["advantages"], [a, -a, 0, 0, a, 0, 0, 0, 0], rtol=1e-6)
    assert rows["signal"].tolist() == [True, True, False, False, True] + [False] * 4
    assert rows["obs"][:, 0].tolist() == pytest.approx(
        [0, 0.2, 0.4, 0.6, 0.8, 1.2, 1.4, 2.0, 2.2], abs=1e-6
    )


def ahead(gap):
    """The advantage of the better of two episodes whose returns differ by ``gap``."""
    return gap / 2 / (gap / np.sqrt(2) + 1e-4)


def test_advantages_follow_the_discounted_returns():
    settings = small.settings("grpo", gamma=0.5)
    # Returns 1 + 2 / 2 = 2 and 1; 1 + 1 / 2 + 2 / 4 = 2 and 4.
    rows = GRPOObjective(settings).compute_advantages(BY_HAND)
    a, b = ahead(1), ahead(2)
    np.testing.assert_allclose(rows["advantages"], [a, -a, -b, b, a, -b, b, -b, b], rtol=1e-6)


def test_process_supervision_compares_returns_to_go():
    T, P, G, gamma = 5, 3, 4, 0.9
    rng = np.random.default_rng(0)
    lived = rollout(rng.normal(size=(T, P * G)), rng.random((T, P * G)) < 0.2)
    chosen = {"supervision": "process", "gamma": gamma}
    settings = small.settings("grpo", num_envs=P * G, group_size=G, **chosen)
    expected = []
    for t in range(T):
        follow = [
            sum(gamma ** (s - t) * lived.rewards[s, b] for s in range(t, T) if lived.valid[s, b])
            for b in range(P * G)
        ]
        for b in range(P * G):
            group = follow[b // G * G : (b // G + 1) * G]
            deviation = np.std(group, ddof=1) + 1e-4
            if lived.valid[t, b]:
                expected.append((follow[b] - np.mean(group)) / deviation)
    rows = GRPOObjective(settings).compute_advantages(lived)
    assert not lived.valid.all()
    np.testing.assert_allclose(rows["advantages"], expected, rtol=1e-4, atol=1e-6)


def test_process_supervision_ignores_earlier_rewards():
    # Step 1 on: copy 0 still gets 2, copy 1 has ended; copies 2 and 3 get 3 and 0, then 2 and 0.
    process = small.settings("grpo", supervision="process")
    rows = GRPOObjective(process).compute_advantages(BY_HAND)
    a, b, c = ahead(2), ahead(3), ahead(2)
    np.testing.assert_allclose(rows["advantages"], [a, -a, 0, 0, a, b, -b, c, -c], rtol=1e-6)
    assert rows["signal"].tolist() == [True, True, False, False] + [True] * 5


def test_groups_without_a_signal_are_left_out_and_counted():
    settings = small.settings("grpo")
    rows, metrics = GRPOObjective(settings).preprocess_batch(
        GRPOObjective(settings).compute_advantages(BY_HAND)
    )
    assert len(rows) == 3 and rows["signal"].all()
    assert metrics["group_signal"] == pytest.approx(3 / 9)
    assert metrics["advantage_std"] == pytest.approx(rows["advantages"].std())


@pytest.mark.usefixtures("local_ray")
def test_an_iteration_without_a_group_signal_changes_nothing():
    # Counting pays every policy the same.
    with small.algorithm("toy_worlds:Counting-v0", algo="grpo") as algorithm:
        before = small.learner_weights(algorithm)
        algorithm.train()
        flat = algorithm.flat_metrics
        assert (flat["group_signal"], flat["updates"], flat["return_mean"]) == (0, 0, 6)
        assert small.same_weights(small.learner_weights(algorithm), before)


@pytest.mark.usefixtures("local_ray")
def test_schedules_move_without_a_group_signal():
    chosen = {"temperature": 2.0, "temperature_schedule": "linear", "temperature_end": 0.5}
    with small.algorithm("toy_worlds:Counting-v0", algo="grpo", iterations=1, **chosen) as built:
        built.train()
        assert built.flat_metrics["updates"] == 0
        assert small.learner_weights(built)["temperature"] == 0.5
        assert built.env_runner_group.local_env_runner.module.temperature == 0.5


def test_choices_and_their_values_both_learn_from_a_group():
    """A legal choice's logit and the parameters of the value that was done get a gradient."""
    shape: dict[str, Any] = {"model": "set", "hidden": (8,), "entropy_coef": 0.0}
    runner = small.runner("toy_worlds:Masked-v0", algo="grpo", **shape)
    settings, module = runner.settings, runner.module
    rows, _ = GRPOObjective(runner.settings).preprocess_batch(runner.sample()[0])
    assert len(rows) == 12  # two episodes of six steps, of unequal returns
    batch = rows.to_torch()
    outputs, value = module.compute_outputs(batch)
    outputs.retain_grad()
    forward = {"dist": module.head.dist(outputs, None, batch["obs.mask"]), "value": value}
    small.loss("grpo", forward, batch, settings).backward()
    gradient = outputs.grad.view(len(rows), Masked.n, -1)
    done = gradient[torch.arange(len(rows)), batch["choice"]]
    assert (done[:, 0] != 0).all()  # the logit of what was chosen
    assert (done[:, 1:].abs().sum(-1) > 0).all()  # and the value done with it
    legal = batch["obs.mask"].bool()
    assert (gradient[..., 0][legal] != 0).all() and (gradient[..., 0][~legal] == 0).all()
    other = torch.ones_like(legal).scatter(1, batch["choice"][:, None], False)
    assert (gradient[..., 1:][other] == 0).all()  # values of choices that were not made


def first_update(**changed):
    """Metrics of a first update of one minibatch, so that they are of the policy before it."""
    changed = {"num_envs": 8, "epochs": 1, "minibatch_size": 32, "entropy_coef": 0.0} | changed
    runner = small.runner(BANDIT, algo="grpo", **changed)
    learner = small.learner(BANDIT, algo="grpo", **changed)
    runner.module.set_state(learner.module[DEFAULT_MODULE_ID].get_state())
    rows, _ = GRPOObjective(learner.objective.settings).preprocess_batch(runner.sample()[0])
    return learner, rows, small.updated(learner, rows)


def test_the_reference_kl_starts_at_0_and_grows():
    learner, rows, metrics = first_update(reference_kl_coef=0.5, lr=0.01)
    assert metrics["reference_kl"] == pytest.approx(0, abs=1e-7)
    assert metrics["kl"] == pytest.approx(0, abs=1e-7)
    later = [small.updated(learner, rows)["reference_kl"] for _ in range(3)]
    assert 1e-6 < later[0] < later[1] < later[2]


def test_a_renewed_reference_is_the_current_policy():
    learner, rows, _ = first_update(reference_kl_coef=0.5, reference_interval=2, lr=0.01)
    later = [small.updated(learner, rows)["reference_kl"] for _ in range(4)]
    assert later[0] > 1e-6 and later[2] > 1e-6  # updates 2 and 4
    assert later[1] == pytest.approx(0, abs=1e-7) and later[3] == pytest.approx(0, abs=1e-7)


def test_the_pull_of_the_reference_keeps_the_policy_near():
    def moved(weight):
        learner, rows, _ = first_update(reference_kl_coef=weight, lr=0.03)
        return [small.updated(learner, rows)["reference_kl"] for _ in range(20)][-1]

    assert moved(5.0) < moved(0.01) / 2


def test_the_epochs_stop_once_the_policy_has_moved_far_enough():
    _, _, free = first_update(epochs=6, lr=0.03)
    _, _, limited = first_update(epochs=6, lr=0.03, kl_limit=1e-4)
    assert free["epochs_run"] == 6 and 1 < limited["epochs_run"] < 6
