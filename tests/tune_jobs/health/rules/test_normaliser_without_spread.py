# pyright: basic
"""Rule ``normaliser_without_spread``: sick and healthy runs, warm-up, NaN, planted faults."""

import math
from typing import Any

from health_runs import Metrics, assert_needs_last, flat, from_row, rising, seen, severity
from ray.rllib.core import COMPONENT_RL_MODULE
from training_loop import record

from tune_jobs.health import diagnose
from tune_jobs.health.rules.thresholds_of_rollouts import NormaliserWithoutSpread

RULE = NormaliserWithoutSpread()
NAME = "normaliser_constant_fraction"
TRAINING: dict[str, Any] = {
    **{"num_envs": 8, "rollout_length": 16, "minibatch_size": 64, "epochs": 2, "hidden": (16,)}
}


def symptoms(history):
    return [finding.symptom for finding in diagnose(history).findings]


def test_all_numbers_without_spread_are_warned_of():
    assert seen(RULE, 27, score=flat(27), **{NAME: from_row(4, 1.0, 0.2)}) == ("warn", 4)


def test_constant_numbers_among_others_are_healthy():
    assert seen(RULE, 27, score=flat(27), **{NAME: 0.99}) is None


def test_a_run_that_learns_without_them_is_healthy():
    assert seen(RULE, 60, score=rising(60), **{NAME: 1.0}) is None


def test_the_first_rows_are_too_early():
    assert seen(RULE, 4, 27, score=flat(4), **{NAME: 1.0}) is None
    assert seen(RULE, 7, 27, score=flat(7), **{NAME: 1.0}) is None  # no score to judge by


def test_the_last_five_rows_are_judged():
    assert_needs_last(RULE, 5, NAME, 1.0, 0.9, score=flat(27))


def test_an_observation_that_never_changes_has_a_rule_of_its_own():
    metrics: Metrics = {"score": flat(27), NAME: 1.0}
    assert seen(RULE, 27, **metrics, observation_constant_fraction=1.0) is None
    assert seen(RULE, 27, **metrics, observation_constant_fraction=0.9) == ("warn", 1)


def test_rows_without_the_metric_are_left_out():
    metrics: Metrics = {NAME: lambda i: math.nan if i > 25 else 1.0}
    assert severity(RULE, 27, score=flat(27), **metrics) is None


def test_differences_too_small_to_normalise_are_found():
    history = record("sick_worlds:SickWhispers-v0", 20, **TRAINING)
    assert set(history.series(NAME)) == {1.0}
    assert history.latest("observation_constant_fraction") == 0
    assert "normaliser_without_spread" in symptoms(history)


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
    assert set(history.series(NAME)) == {1.0}
    assert "normaliser_without_spread" in symptoms(history)
    healthy = record(env, 20, **chosen)
    assert healthy.series(NAME)[0] == 1 and not healthy.series(NAME)[1:].any()
    assert "normaliser_without_spread" not in symptoms(healthy)


def test_a_world_that_shows_nothing_is_reported_once():
    history = record("sick_worlds:SickBlindfolded-v0", 20, **TRAINING, normalise_observations=True)
    assert set(history.series(NAME)) == {1.0}
    found = symptoms(history)
    assert "observation_constant" in found and "normaliser_without_spread" not in found
