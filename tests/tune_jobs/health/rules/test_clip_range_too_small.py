"""Rule ``clip_range_too_small``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, assert_needs_last, flat, from_row, rising, seen, severity

from tune_jobs.health.rules.policy_steps import ClipRangeTooSmall

RULE = ClipRangeTooSmall()


SICK: Metrics = {"clip_fraction": 0.99, "kl": 3e-8}


def test_a_clip_that_stops_every_update_is_found():
    assert seen(RULE, 27, score=flat(27), **SICK) == ("stop", 1)
    late: Metrics = {"clip_fraction": from_row(9, 0.99, 0.1), "kl": from_row(9, 3e-8, 0.01)}
    assert seen(RULE, 27, score=flat(27), **late) == ("stop", 9)


@pytest.mark.parametrize("change", [{"clip_fraction": 0.38}, {"kl": 0.01}])
def test_clipping_of_large_steps_or_small_steps_are_healthy(change: Metrics):
    assert seen(RULE, 27, score=flat(27), **{**SICK, **change}) is None


def test_a_run_that_learns_is_healthy():
    assert seen(RULE, 60, score=rising(60), **SICK) is None


def test_few_rows_and_rows_without_a_number_say_nothing():
    assert seen(RULE, 7, 81, score=flat(7), **SICK) is None
    assert seen(RULE, 27, score=flat(27), **{**SICK, "kl": math.nan}) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"clip_fraction": 0.91}, "stop"),
        ({"clip_fraction": 0.89}, None),
        ({"kl": 0.95e-5}, "stop"),
        ({"kl": 1.05e-5}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(27), **SICK, **change}
    assert severity(RULE, 27, **metrics) == expected


def test_the_last_five_rows_must_all_be_sick():
    assert_needs_last(RULE, 5, "clip_fraction", 0.99, 0.1, score=flat(27), kl=3e-8)
