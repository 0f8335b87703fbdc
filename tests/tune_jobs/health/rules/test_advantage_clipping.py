"""Rule ``advantage_clipping``: sick and healthy runs, each threshold, warm-up and NaN."""

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

from tune_jobs.health.rules.thresholds_of_updates import AdvantageClipping

RULE = AdvantageClipping()


def test_it_warns_and_only_notes_a_run_that_learns():
    share: Metrics = {"advantage_clip_fraction": from_row(7, 0.7, 0.1)}
    assert seen(RULE, 27, score=flat(27), **share) == ("warn", 7)
    assert seen(RULE, 27, score=rising(27), **share) == ("note", 7)


def test_a_few_outliers_are_healthy():
    assert seen(RULE, 27, score=flat(27), advantage_clip_fraction=0.04) is None


def test_the_first_rows_are_too_early():
    assert seen(RULE, 3, 27, score=flat(3), advantage_clip_fraction=0.9) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"advantage_clip_fraction": 0.52}, "warn"),
        ({"advantage_clip_fraction": 0.48}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(27), **change}
    assert severity(RULE, 27, **metrics) == expected


def test_the_median_of_five_rows_is_judged():
    assert_judges_median(RULE, 5, "advantage_clip_fraction", 1.0, 0.0, 0.45, score=flat(27))


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULE, 27, "advantage_clip_fraction", 1.0, score=flat(27))
