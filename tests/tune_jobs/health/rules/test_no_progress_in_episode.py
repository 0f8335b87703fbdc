"""Rule ``no_progress_in_episode``: sick and healthy runs, each threshold, warm-up and NaN."""

import pytest
from health_runs import (
    Metrics,
    assert_judges_median,
    assert_skips_nan,
    assert_starts_at,
    flat,
    from_row,
    rising,
    seen,
    severity,
)

from tune_jobs.health.rules.thresholds_of_rollouts import NoProgressInEpisode

RULE = NoProgressInEpisode()


def test_it_is_noted_and_later_warned_about():
    metrics: Metrics = {"episode_improvement": from_row(6, -0.1, 0.1)}
    assert seen(RULE, 39, 100, score=flat(39), **metrics) == ("note", 6)
    assert seen(RULE, 40, 100, score=flat(40), **metrics) == ("warn", 6)


def test_a_run_that_learns_is_healthy():
    assert seen(RULE, 60, score=rising(60), episode_improvement=-0.1) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"episode_improvement": 0.0}, "warn"),
        ({"episode_improvement": 0.01}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(60), **change}
    assert severity(RULE, 60, **metrics) == expected


def test_the_median_of_ten_rows_is_judged():
    assert_judges_median(RULE, 10, "episode_improvement", -0.1, 2.0, 2.0, score=flat(60))


def test_it_waits_for_a_fifth_of_the_budget():
    assert_starts_at(RULE, 20, 100, score=flat(100), episode_improvement=-0.1)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULE, 60, "episode_improvement", -0.1, score=flat(60))
