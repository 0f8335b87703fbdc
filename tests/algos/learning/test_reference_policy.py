# pyright: basic
"""The frozen copy of the policy: taken when it should be, kept over a checkpoint, never trained."""

import numpy as np
import pytest
import small
from ray.rllib.core.learner.training_data import TrainingData

from algos.learning.learner import CHUNK_ROWS, PROGRESS

ENV = "toy_worlds:Bandit-v0"
REFERRED = {"algo": "grpo", "reference_kl_coef": 0.2, "lr": 0.02, "num_envs": 32, "group_size": 4}
REFERRED |= {"minibatch_size": 64}


def built(**changed):
    return small.learner(ENV, **REFERRED | changed)


def rows(seed=0):
    runner = small.runner(ENV, seed=seed, **REFERRED)
    return runner.objective.preprocess_batch(runner.sample()[0])[0]


def update(learner, seed=0):
    learner.update(training_data=TrainingData(batch=rows(seed)), timesteps={PROGRESS: 0.1})
    return weights(learner.module["default_policy"])


def weights(module):
    return module.get_state()


def test_the_reference_is_the_initial_policy_and_stays_frozen():
    learner = built()
    before = weights(learner.module["default_policy"])
    for seed in range(3):
        after = update(learner, seed)
        assert small.same_weights(weights(learner.reference), before)
    assert not small.same_weights(after, before)
    assert not any(p.requires_grad for p in learner.reference.parameters())


def test_the_reference_is_taken_anew_every_so_many_updates():
    learner = built(reference_interval=2)
    held = [weights(learner.module["default_policy"])]
    references = []
    for seed in range(5):
        held.append(update(learner, seed))
        references.append(weights(learner.reference))
    for reference, expected in zip(references, [0, 0, 2, 2, 4], strict=True):
        assert small.same_weights(reference, held[expected])


def test_the_reference_is_restored_with_the_count_of_updates():
    learner = built(reference_interval=3)
    for seed in range(2):
        update(learner, seed)
    state = learner.get_state()
    other = built(reference_interval=3, seed=4)
    update(other)
    other.set_state(state)
    assert small.same_weights(weights(other.reference), weights(learner.reference))
    current = weights(other.module["default_policy"])
    assert not small.same_weights(weights(other.reference), current)
    for seed in range(2, 5):  # the fourth update takes a new one
        assert small.same_weights(update(other, seed), update(learner, seed))
        assert small.same_weights(weights(other.reference), weights(learner.reference))
    assert not small.same_weights(weights(other.reference), current)


def test_a_state_before_the_first_update_has_no_reference():
    learner, other = built(), built(seed=4)
    state = other.get_state()
    update(learner)
    learner.set_state(state)
    assert learner.reference is None
    update(learner)
    beginning = weights(other.module["default_policy"])
    assert small.same_weights(weights(learner.reference), beginning)


def test_weights_alone_come_without_what_only_a_learner_needs():
    learner = built()
    update(learner)
    found = learner.get_state(components="rl_module")
    assert "rl_module" in found and not {"generator", "reference", "coefficients"} & found.keys()
    # And to receive them alone changes nothing else.
    reference = learner.reference
    learner.set_state(found)
    assert learner.reference is reference


def reference_columns(learner, columns):
    compute = learner.objective.compute_reference_columns
    return learner._compute_in_chunks(learner.reference, columns, compute)


def test_reference_columns_do_not_depend_on_the_chunks(monkeypatch):
    learner = built()
    update(learner)
    columns = rows().to_torch()
    assert len(columns) < CHUNK_ROWS
    whole = reference_columns(learner, columns)["reference_logp"]
    monkeypatch.setattr("algos.learning.learner.CHUNK_ROWS", 7)
    parts = reference_columns(learner, columns)["reference_logp"]
    np.testing.assert_allclose(parts.numpy(), whole.numpy(), atol=1e-6)
    assert (columns["logp"] - whole).abs().max() > 1e-3  # another policy than the collecting one


@pytest.mark.parametrize("algo", ["ppo", "reinforce", "grpo"])
def test_without_a_weight_for_it_no_copy_is_kept(algo):
    learner = small.learner(ENV, algo=algo)
    runner = small.runner(ENV, algo=algo, num_envs=8)
    found = runner.objective.preprocess_batch(runner.sample()[0])[0]
    learner.update(training_data=TrainingData(batch=found), timesteps={PROGRESS: 0.1})
    assert learner.reference is None
