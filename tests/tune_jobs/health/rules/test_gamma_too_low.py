"""Rule ``gamma_too_low``: sick and healthy runs, each threshold, warm-up and NaN."""

import pytest
from health_runs import (
    Metrics,
    assert_skips_nan,
    assert_starts_at,
    flat,
    make_rows,
    rising,
    seen,
    severity,
)

from tune_jobs.health import History, diagnose
from tune_jobs.health.rules.choices import GammaTooLow

RULE = GammaTooLow()


LOW: Metrics = {"gamma": 0.0, "episode_length": 20, "score": flat(45)}


def test_a_discount_that_hides_long_episodes_is_found():
    assert seen(RULE, 40, **LOW) == ("warn", 1)


def test_a_discount_that_works_is_healthy():
    assert seen(RULE, 40, **{**LOW, "score": rising(40)}) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"gamma": 0.48}, "warn"),
        ({"gamma": 0.52}, None),
        ({"episode_length": 10}, "warn"),
        ({"episode_length": 9.5}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {**LOW, **change}
    assert severity(RULE, 40, **metrics) == expected


def test_it_waits_for_fifteen_rows():
    assert_starts_at(RULE, 15, 45, **LOW)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULE, 40, "episode_length", 20.0, gamma=0.0, score=flat(45))


@pytest.mark.parametrize(("gamma", "found"), [(0.45, True), (0.55, False)])
def test_the_setting_counts_where_no_metric_is_logged(gamma: float, found: bool):
    rows = make_rows(30, score=flat(30), episode_length=100)
    diagnosis = diagnose(History(rows, 30, settings={"gamma": gamma}))
    assert ("gamma_too_low" in {f.symptom for f in diagnosis.findings}) is found
    assert "gamma_too_low" in diagnosis.judged
