"""Rule ``action_clipping``: sick and healthy runs, each threshold, warm-up and NaN."""

import pytest
from health_runs import (
    Metrics,
    assert_judges_median,
    assert_skips_nan,
    flat,
    from_row,
    rising,
    seen,
    severity,
)

from tune_jobs.health.rules.thresholds_of_rollouts import ActionClipping

RULE = ActionClipping()


def test_values_nearly_always_outside_are_warned_about():
    share: Metrics = {"action_clip_fraction": from_row(8, 0.97, 0.3)}
    assert seen(RULE, 27, score=flat(27), **share) == ("warn", 8)


def test_bang_bang_control_that_was_learnt_is_healthy():
    assert seen(RULE, 60, score=rising(60), action_clip_fraction=1.0) is None


def test_a_third_outside_is_healthy_and_the_first_rows_too_early():
    assert seen(RULE, 27, score=flat(27), action_clip_fraction=0.33) is None
    assert seen(RULE, 4, 27, score=flat(4), action_clip_fraction=1.0) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"action_clip_fraction": 0.91}, "warn"),
        ({"action_clip_fraction": 0.89}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(27), **change}
    assert severity(RULE, 27, **metrics) == expected


def test_the_median_of_five_rows_is_judged():
    assert_judges_median(RULE, 5, "action_clip_fraction", 1.0, 0.3, 0.85, score=flat(27))


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULE, 27, "action_clip_fraction", 1.0, score=flat(27))
