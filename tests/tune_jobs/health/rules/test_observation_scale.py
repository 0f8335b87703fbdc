"""Rule ``observation_scale``: sick and healthy runs, each threshold, warm-up and NaN."""

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

from tune_jobs.health.rules.thresholds_of_rollouts import ObservationScale

RULE = ObservationScale()


def test_dead_units_turn_a_note_into_a_warning():
    large: Metrics = {"observation_abs_max": from_row(3, 1e6, 1.0), "score": flat(27)}
    assert seen(RULE, 27, **large) == ("note", 3)
    assert seen(RULE, 27, **large, dead_unit_fraction=0.8) == ("warn", 3)


def test_a_run_that_learns_from_them_is_healthy():
    assert seen(RULE, 60, score=rising(60), observation_abs_max=1e6) is None


def test_usual_numbers_are_healthy_and_the_first_rows_too_early():
    assert seen(RULE, 27, score=flat(27), observation_abs_max=40.0) is None
    assert seen(RULE, 4, 27, score=flat(4), observation_abs_max=1e6) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"observation_abs_max": 105}, "note"),
        ({"observation_abs_max": 95}, None),
        ({"observation_abs_max": 1e6, "dead_unit_fraction": 0.52}, "warn"),
        ({"observation_abs_max": 1e6, "dead_unit_fraction": 0.48}, "note"),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(27), **change}
    assert severity(RULE, 27, **metrics) == expected


def test_the_median_of_five_rows_is_judged():
    assert_judges_median(RULE, 5, "observation_abs_max", 150, 1, 90, score=flat(27))


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULE, 27, "observation_abs_max", 1000000.0, score=flat(27))
