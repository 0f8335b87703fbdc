"""Rule ``no_episode_ends``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, assert_starts_at, flat, history, rising, seen, severity

from tune_jobs.health import diagnose
from tune_jobs.health.rules.no_episode_ends import NoEpisodeEnds

RULE = NoEpisodeEnds()


ENDLESS: Metrics = {
    "env_steps": lambda i: 2048.0 * i,
    "episodes": 0,
    "running_length_max": lambda i: 256.0 * i,
}


def test_it_is_noted_then_warned_about_then_a_reason_to_stop():
    assert seen(RULE, 10, 200, **{**ENDLESS, "running_length_max": 900}) == (
        "note",
        1,
    )
    assert seen(RULE, 10, 200, **ENDLESS) == ("warn", 1)
    assert seen(RULE, 110, 200, **ENDLESS) == ("stop", 1)
    finding = RULE(history(110, 200, **ENDLESS))
    assert finding
    assert "one has lasted for 28,160 steps" in finding.evidence


def test_a_stop_is_granted_early_because_it_cannot_heal():
    long: Metrics = {**ENDLESS, "running_length_max": lambda i: 4096.0 * i}
    diagnosis = diagnose(history(30, 200, **long))
    assert diagnosis.stop
    assert diagnosis.stop.symptom == "no_episode_ends"


def test_a_log_of_others_without_any_return_is_warned_about():
    log: Metrics = {"env_steps": lambda i: 2048.0 * i, "value_loss": 1.0}
    assert seen(RULE, 20, **log) == ("warn", 1)
    assert seen(RULE, 20, **log, return_mean_100=3.0) is None


def test_a_log_without_steps_is_judged_by_its_losses():
    assert seen(RULE, 20, value_loss=1.0) == ("warn", 1)
    assert seen(RULE, 20, value_loss=1.0, env_steps=0.0) == ("warn", 1)
    assert seen(RULE, 20, policy_loss=1.0, env_steps=0.0) is None
    other = diagnose(history(20, policy_loss=1.0))
    assert other.not_judged["no_episode_ends"] == "env_steps"
    assert seen(RULE, 20, value_loss=1.0, return_mean=3.0) is None
    finding = RULE(history(20, value_loss=1.0))
    assert finding
    assert finding.evidence == "no episode has finished in 20 iterations"


def test_episodes_that_are_long_but_end_are_healthy():
    metrics: Metrics = {**ENDLESS, "episodes": lambda i: 1.0 if i == 9 else 0.0}
    assert seen(RULE, 30, **metrics) is None


def test_a_continuing_task_that_improves_is_healthy():
    assert seen(RULE, 110, score=rising(110), **ENDLESS) is None


def test_a_score_without_episodes_is_not_judged():
    assert seen(RULE, 30, score=flat(30), env_steps=lambda i: 9.0 * i) is None


def test_ten_rows_come_first_and_steps_must_grow():
    assert seen(RULE, 9, 200, **ENDLESS) is None
    assert seen(RULE, 30, **{**ENDLESS, "env_steps": 5.0}) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"running_length_max": 990}, "note"),
        ({"running_length_max": 1000}, "warn"),
        ({"running_length_max": 26_900}, "warn"),
        ({"running_length_max": 27_000}, "stop"),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {**ENDLESS, **change}
    assert severity(RULE, 110, 200, **metrics) == expected


def test_it_stops_only_from_a_tenth_of_the_budget():
    long: Metrics = {**ENDLESS, "running_length_max": 30_000}
    assert severity(RULE, 19, 200, **long) == "warn"
    assert severity(RULE, 20, 200, **long) == "stop"


def test_it_waits_for_ten_rows():
    assert_starts_at(RULE, 10, 200, **ENDLESS)


def test_a_nan_count_of_episodes_is_none():
    metrics: Metrics = {**ENDLESS, "episodes": lambda i: math.nan if i % 2 else 0.0}
    assert severity(RULE, 20, 200, **metrics) == "warn"
