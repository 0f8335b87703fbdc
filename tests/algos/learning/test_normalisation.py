# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
"""Statistics of observations and returns in training: who updates them, when, and who acts."""

from typing import Any

import numpy as np
import pytest
import small
import torch

from algos.learning.learner import CLONE, PROGRESS
from algos.policy import Policy, save_policy
from algos.rollouts.columns import concat

BOTH = {"normalise_observations": True, "normalise_values": True}
TASK = "MountainCarContinuous-v0"
QUICK = {"num_envs": 4, "rollout_length": 16, "epochs": 2, "lr": 0.01, **BOTH}


def network(algorithm):
    return algorithm.learner_group._learner.module["default_policy"].unwrapped()


def acting(algorithm):
    return algorithm.env_runner_group.local_env_runner.module


def watched(algorithm):
    """The rows of each update as they are just before the epochs, with the logps of then."""
    learner, seen = algorithm.learner_group._learner, []
    epochs = learner._run_epochs

    def watching(columns, objective, progress):
        with torch.no_grad():
            now = network(algorithm)._forward(columns)["dist"].logp(columns)
        seen.append((columns, now))
        return epochs(columns, objective, progress)

    learner._run_epochs = watching
    return seen


@pytest.mark.usefixtures("local_ray")
def test_logps_of_learning_equal_those_of_acting_and_of_a_resume(tmp_path):
    with small.algorithm(TASK, **QUICK) as algorithm:
        seen = watched(algorithm)
        for _ in range(4):
            algorithm.train()
        algorithm.save_to_path(str(tmp_path))
        saved = small.learner_weights(algorithm)
    with small.algorithm(TASK, seed=3, **QUICK) as restored:
        restored.restore_from_path(str(tmp_path))
        assert small.same_weights(small.learner_weights(restored), saved)
        assert small.same_weights(acting(restored).get_state(), saved)
        more = watched(restored)
        for _ in range(2):
            restored.train()
    for rows, now in seen + more:
        np.testing.assert_allclose(now, rows["logp"], atol=2e-6)
    assert len(seen) == 4 and len(more) == 2


@pytest.mark.usefixtures("local_ray")
def test_the_statistics_are_those_of_all_rows_so_far():
    with small.algorithm(TASK, **QUICK) as algorithm:
        seen = watched(algorithm)
        for iteration in range(3):
            algorithm.train()
            rows = np.concatenate([columns["obs"] for columns, _ in seen])
            moments = network(algorithm).observation_normaliser.moments["obs"]
            assert moments.count == len(rows) == 64 * (iteration + 1)
            np.testing.assert_allclose(moments.mean, rows.mean(0, dtype=float), rtol=1e-9)
            np.testing.assert_allclose(moments.variance, rows.var(0, dtype=float), rtol=1e-9)


def test_targets_are_standardised_and_acting_undoes_it():
    learner = small.learner(TASK, **QUICK)
    runner = small.runner(TASK, **QUICK)
    rows = runner.objective.preprocess_batch(runner.sample()[0])[0]
    scaled = rows.with_columns(returns=(-1500 + 300 * rows["returns"]).astype(np.float32))
    fitted = []
    epochs = learner._run_epochs
    learner._run_epochs = lambda c, *rest: fitted.append(c["returns"]) or epochs(c, *rest)
    small.updated(learner, scaled)
    assert float(fitted[0].mean()) == pytest.approx(0, abs=1e-4)
    assert float(fitted[0].std(unbiased=False)) == pytest.approx(1, abs=1e-4)
    module = learner.module["default_policy"]
    columns = {"obs": rows["obs"]}
    own = module._forward({"obs": torch.from_numpy(rows["obs"])})["value"].detach().numpy()
    returns = scaled["returns"]
    acted = module.act(columns)[2].numpy()
    np.testing.assert_allclose(acted, own * returns.std() + returns.mean(), rtol=1e-4)
    assert module.compute_values({"obs": torch.from_numpy(rows["obs"])}).detach().numpy() == (
        pytest.approx(acted, rel=1e-5)
    )


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("env", [TASK, "CartPole-v1"])
def test_a_saved_policy_acts_bit_for_bit_as_the_runner(env, tmp_path):
    with small.algorithm(env, **QUICK) as algorithm:
        for _ in range(2):
            algorithm.train()
        save_policy(algorithm, "ppo", tmp_path / "policy")
        module = acting(algorithm)
        observations = np.random.default_rng(0).normal(size=(64, *module.observation_space.shape))
        columns = {"obs": observations.astype(np.float32)}
        before = module.act_on_arrays(columns, torch.Generator().manual_seed(0))
    from algos.checkpoint import write_manifest

    write_manifest(tmp_path)
    loaded: Any = Policy.load(tmp_path).module
    assert not loaded.observation_normaliser.is_empty
    after = loaded.act_on_arrays(columns, torch.Generator().manual_seed(0))
    for name, part in before[0].items():
        np.testing.assert_array_equal(after[0][name], part)
    np.testing.assert_array_equal(after[1]["logp"], before[1]["logp"])
    np.testing.assert_array_equal(after[2], before[2])


def test_a_warm_start_takes_the_statistics_of_the_teachers_rows():
    learner, runner = small.learner(TASK, **QUICK), small.runner(TASK, **QUICK)
    first, second = (runner.sample()[0] for _ in range(2))
    taught = concat([first, second])
    learner.update(
        training_data=small.TrainingData(batch=taught), timesteps={PROGRESS: 0.1, CLONE: True}
    )
    moments = learner.module["default_policy"].observation_normaliser.moments["obs"]
    np.testing.assert_allclose(moments.mean, taught["obs"].mean(0, dtype=float), rtol=1e-9)
    # Imitating again, later, is no experience of the policy's own.
    learner.update(
        training_data=small.TrainingData(batch=first), timesteps={PROGRESS: 0.5, CLONE: True}
    )
    assert moments.count == len(taught)


def test_the_reference_keeps_the_statistics_of_its_copy():
    learner = small.learner(TASK, algo="reinforce", reference_kl_coef=0.1, **QUICK)
    runner = small.runner(TASK, algo="reinforce", **QUICK)
    rows = [runner.objective.preprocess_batch(runner.sample()[0])[0] for _ in range(2)]
    # The copy is made after the first statistics: at first it is the policy itself.
    assert small.updated(learner, rows[0])["reference_kl"] < 0.1
    kept = learner.reference.observation_normaliser.moments["obs"]
    assert kept.count == len(rows[0])
    small.updated(learner, rows[1])
    own = learner.module["default_policy"].observation_normaliser.moments["obs"]
    assert (kept.count, own.count) == (len(rows[0]), len(rows[0]) + len(rows[1]))


@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_the_first_ratios_of_a_memory_are_those_of_its_own_sequences(memory, monkeypatch):
    monkeypatch.setattr("algos.learning.learner.CHUNK_ROWS", 10)
    chosen = QUICK | {"memory": memory, "sequence_length": 6, "minibatch_size": 24}
    learner, runner = small.learner(TASK, **chosen), small.runner(TASK, **chosen)
    runner.module.set_state(learner.module["default_policy"].get_state())
    rows = runner.objective.preprocess_batch(runner.sample()[0])[0]
    seen, differentiate = [], learner._differentiate

    def watch(minibatch, *rest):
        batch = minibatch.batch
        with torch.no_grad():
            now = learner.module["default_policy"]._forward(batch)["dist"].logp(batch)
        seen.append(float((now - batch["logp"]).abs().max()))
        return differentiate(minibatch, *rest)

    learner._differentiate = watch
    small.updated(learner, rows)
    # The states of this rollout were stored before there were statistics: it matters where the
    # sequences that start from them begin.
    assert seen[0] <= 2e-6 < 1e-4 < seen[-1]
