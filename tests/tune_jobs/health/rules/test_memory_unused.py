# pyright: basic
"""Rule ``memory_unused``: sick and healthy runs, each threshold, warm-up, NaN, planted faults."""

import math
from typing import Any

import pytest
import torch
from health_runs import Metrics, assert_needs_last, flat, from_row, rising, seen, severity
from ray.rllib.core import DEFAULT_MODULE_ID
from training_loop import record

from tune_jobs.health import diagnose
from tune_jobs.health.rules.thresholds_of_updates import MemoryUnused

RULE = MemoryUnused()
NAME = "memory_effect_fraction"
CARDS = "memory_worlds:RepeatPrevious-v0"
TRAINING: dict[str, Any] = {
    **{"num_envs": 8, "rollout_length": 16, "minibatch_size": 64, "epochs": 2, "hidden": (16,)}
}


def findings(history):
    return {finding.symptom: finding.severity for finding in diagnose(history).findings}


@pytest.mark.parametrize(("effect", "expected"), [(0.004, "warn"), (0.006, None)])
def test_severity_at_the_threshold(effect, expected):
    found = seen(RULE, 27, score=flat(27), **{NAME: from_row(4, effect, 0.4)})
    assert found == (expected and (expected, 4))


def test_a_run_that_learns_without_memory_gets_a_note():
    assert seen(RULE, 60, score=rising(60), **{NAME: 0.0}) == ("note", 1)


def test_nothing_is_said_before_the_score_can_be_judged():
    assert seen(RULE, 27, score=[*flat(7), *[math.nan] * 20], **{NAME: 0.0}) is None


def test_the_first_rows_are_too_early():
    assert seen(RULE, 8, 27, score=flat(8), **{NAME: 0.0}) is None


def test_the_last_nine_rows_are_judged():
    assert_needs_last(RULE, 9, NAME, 0.0, 0.1, score=flat(27))


def test_rows_without_the_metric_are_left_out():
    metrics: Metrics = {NAME: lambda i: math.nan if i > 25 else 0.0}
    assert severity(RULE, 27, score=flat(27), **metrics) is None


def test_it_never_asks_for_a_stop():
    assert RULE.highest == "warn"


def close_gates(runner, learner):
    """Close the gates of a GRU through which the state would pass, and gradients with it."""
    core = learner.module[DEFAULT_MODULE_ID].memory.core
    with torch.no_grad():
        core.bias_ih_l0[: 2 * core.hidden_size] = -50  # reset and update


def lose_state(runner, learner):
    """Start each step from zeros instead of the state after the last one."""
    policy = runner.module
    act = policy.act_on_arrays

    def act_on_arrays(*args, **kwargs):
        *acted, state = act(*args, **kwargs)
        return *acted, {name: 0 * column for name, column in state.items()}

    policy.act_on_arrays = act_on_arrays


@pytest.mark.parametrize(
    ("memory", "plant"), [("gru", close_gates), ("gru", lose_state), ("lstm", lose_state)]
)
def test_a_memory_without_effect_is_found(memory, plant):
    chosen = TRAINING | {"memory": memory, "sequence_length": 8}
    history = record(CARDS, 16, plant, **chosen)
    assert history.series(NAME).max() < 1e-6
    assert findings(history)["memory_unused"] == "warn"


@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_a_memory_that_has_not_learnt_yet_is_healthy(memory):
    history = record(CARDS, 16, **TRAINING, memory=memory, sequence_length=8)
    assert history.improved is False and history.series(NAME).min() > 0.05
    assert "memory_unused" not in findings(history)


def test_a_task_without_memory_gets_a_note_at_most():
    chosen = TRAINING | {"memory": "gru", "sequence_length": 8, "lr": 0.01}
    history = record("sick_worlds:SickTargets-v0", 30, lose_state, **chosen)
    assert history.improved and findings(history)["memory_unused"] == "note"
    healthy = record("sick_worlds:SickTargets-v0", 30, **chosen)
    assert healthy.improved and "memory_unused" not in findings(healthy)
