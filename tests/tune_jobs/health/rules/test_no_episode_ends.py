"""Rule ``no_episode_ends``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, assert_starts_at, flat, history, rising, seen, severity

from tune_jobs.health import diagnose
from tune_jobs.health.remedy import worded
from tune_jobs.health.rules.training_faults import NoEpisodeEnds

RULE = NoEpisodeEnds()


ENDLESS: Metrics = {
    "env_steps": lambda i: 2048.0 * i,
    "episodes": 0,
    "running_length_max": lambda i: 256.0 * i,
}


LIMITED: Metrics = {**ENDLESS, "time_limit": 60_000}


def test_without_a_known_limit_it_is_noted_and_then_warned_about():
    assert seen(RULE, 10, 200, **{**ENDLESS, "running_length_max": 900}) == ("note", 1)
    assert seen(RULE, 10, 200, **ENDLESS) == ("warn", 1)
    assert seen(RULE, 199, 200, **{**ENDLESS, "running_length_max": 300_000}) == ("warn", 1)
    finding = RULE(history(110, 200, **ENDLESS))
    assert finding
    assert "one has lasted for 28,160 steps" in finding.evidence


def test_episodes_before_their_limit_are_healthy_however_long():
    for n in (10, 110, 200):
        diagnosis = diagnose(history(n, 240, **LIMITED))
        assert [f.severity for f in diagnosis.findings] == ["note"]
        assert "limit is 60,000" in diagnosis.findings[0].evidence


@pytest.mark.parametrize(
    ("pace", "advice"), [(256, "Wait until the limit of 60,000"), (200, "fewer copies")]
)
def test_the_remedy_knows_whether_the_limit_comes_before_the_end(pace: int, advice: str):
    run = history(110, 240, **{**LIMITED, "running_length_max": lambda i: float(pace * i)})
    assert advice in worded(RULE.choose_remedy(run))


def test_a_limit_that_nothing_applies_is_a_reason_to_stop():
    long: Metrics = {**ENDLESS, "running_length_max": lambda i: 4096.0 * i, "time_limit": 1000}
    diagnosis = diagnose(history(30, 200, **long))
    assert diagnosis.stop
    assert diagnosis.stop.symptom == "no_episode_ends"
    assert "return terminated" in diagnosis.stop.remedy.lower()


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
    ("longest", "limit", "expected"),
    [
        (990, math.nan, "note"),
        (1000, math.nan, "warn"),
        (5000, 5000, "note"),
        (5001, 5000, "warn"),
        (26_900, 1000, "warn"),
        (27_000, 1000, "stop"),
        (39_999, 20_000, "warn"),
        (40_000, 20_000, "stop"),
    ],
)
def test_severity_at_each_threshold(longest: float, limit: float, expected: str):
    metrics: Metrics = {**ENDLESS, "running_length_max": longest, "time_limit": limit}
    assert severity(RULE, 110, 200, **metrics) == expected


def test_it_stops_only_from_a_tenth_of_the_budget():
    long: Metrics = {**ENDLESS, "running_length_max": 30_000, "time_limit": 1000}
    assert severity(RULE, 19, 200, **long) == "warn"
    assert severity(RULE, 20, 200, **long) == "stop"


def test_it_waits_for_ten_rows():
    assert_starts_at(RULE, 10, 200, **ENDLESS)


def test_a_nan_count_of_episodes_is_none():
    metrics: Metrics = {**ENDLESS, "episodes": lambda i: math.nan if i % 2 else 0.0}
    assert severity(RULE, 20, 200, **metrics) == "warn"
