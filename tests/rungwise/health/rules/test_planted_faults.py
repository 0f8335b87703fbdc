# pyright: basic
"""Faults of encoders, memories and normalisers, planted into short trainings of our own."""

from typing import Any

import pytest
import torch
from benchmarks.sick import close_gates, kill_convolutions
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from training_loop import record

from rungwise.health import diagnose

ENCODER, FEATURES = "encoder_constant_fraction", "feature_constant_fraction"
MEMORY = "memory_effect_fraction"
NORMALISER = "normaliser_constant_fraction"
CARDS = "memory_worlds:RepeatPrevious-v0"
TRAINING: dict[str, Any] = {
    **{"num_envs": 8, "rollout_length": 16, "minibatch_size": 64, "epochs": 2, "hidden": (16,)}
}


def findings(history):
    return {finding.symptom: finding.severity for finding in diagnose(history).findings}


def in_network(change):
    """Plant a fault of the benchmarks into the learner's network."""

    def plant(runner, learner):
        with torch.no_grad():
            change(learner.module[DEFAULT_MODULE_ID])

    return plant


@pytest.mark.system
def test_dead_convolutions_are_found():
    history = record("memory_worlds:Catch-v0", 20, in_network(kill_convolutions), **TRAINING)
    assert set(history.series(ENCODER)) == set(history.series(FEATURES)) == {1.0}
    assert findings(history)["encoder_constant"] == "stop"


def test_convolutions_that_see_are_healthy():
    history = record("memory_worlds:Catch-v0", 20, **TRAINING)
    assert history.series(ENCODER).max() < 0.5
    assert "encoder_constant" not in findings(history)


@pytest.mark.system
def test_an_image_that_never_changes_is_reported_once():
    history = record("sick_worlds:SickStill-v0", 20, **TRAINING)
    assert not history.has(ENCODER)  # it is no fault of the encoder
    found = findings(history)
    assert "observation_constant" in found and "encoder_constant" not in found


def lose_state(runner, learner):
    """Start each step from zeros instead of the state after the last one."""
    policy = runner.module
    act = policy.act_on_arrays

    def act_on_arrays(*args, **kwargs):
        *acted, state = act(*args, **kwargs)
        return *acted, {name: 0 * column for name, column in state.items()}

    policy.act_on_arrays = act_on_arrays


@pytest.mark.system
@pytest.mark.parametrize(
    ("memory", "plant"),
    [("gru", in_network(close_gates)), ("gru", lose_state), ("lstm", lose_state)],
)
def test_a_memory_without_effect_is_found(memory, plant):
    chosen = TRAINING | {"memory": memory, "sequence_length": 8}
    history = record(CARDS, 16, plant, **chosen)
    assert history.series(MEMORY).max() < 1e-6
    assert findings(history)["memory_unused"] == "warn"


@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_a_memory_that_has_not_learnt_yet_is_healthy(memory):
    history = record(CARDS, 16, **TRAINING, memory=memory, sequence_length=8)
    assert history.progress.improved is False and history.series(MEMORY).min() > 0.05
    assert "memory_unused" not in findings(history)


@pytest.mark.system
def test_a_task_without_memory_gets_a_note_at_most():
    chosen = TRAINING | {"memory": "gru", "sequence_length": 8, "lr": 0.01}
    history = record("sick_worlds:SickTargets-v0", 30, lose_state, **chosen)
    assert history.progress.improved and findings(history)["memory_unused"] == "note"
    healthy = record("sick_worlds:SickTargets-v0", 30, **chosen)
    assert healthy.progress.improved and "memory_unused" not in findings(healthy)


def test_differences_too_small_to_normalise_are_found():
    history = record("sick_worlds:SickWhispers-v0", 20, **TRAINING)
    assert set(history.series(NORMALISER)) == {1.0}
    assert history.latest("observation_constant_fraction") == 0
    assert "normaliser_without_spread" in findings(history)


def lose_statistics(runner, learner):
    """Keep the runner's own statistics, which are empty, when it receives weights."""
    receive = runner.set_state

    def set_state(state):
        own, weights = runner.module.get_state(), state[COMPONENT_RL_MODULE]
        kept = {n: w for n, w in own.items() if n.startswith("observation_normaliser")}
        receive({COMPONENT_RL_MODULE: weights | kept})

    runner.set_state = set_state


def test_statistics_that_never_arrive_are_found():
    env = "sick_worlds:SickCoinToss-v0"
    chosen: dict[str, Any] = TRAINING | {"normalise_observations": True}
    history = record(env, 20, lose_statistics, **chosen)
    assert set(history.series(NORMALISER)) == {1.0}
    assert "normaliser_without_spread" in findings(history)
    healthy = record(env, 20, **chosen)
    assert healthy.series(NORMALISER)[0] == 1 and not healthy.series(NORMALISER)[1:].any()
    assert "normaliser_without_spread" not in findings(healthy)


def test_a_world_that_shows_nothing_is_reported_once():
    history = record("sick_worlds:SickBlindfolded-v0", 20, **TRAINING, normalise_observations=True)
    assert set(history.series(NORMALISER)) == {1.0}
    found = findings(history)
    assert "observation_constant" in found and "normaliser_without_spread" not in found
