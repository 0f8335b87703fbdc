"""Rule ``reward_scale``: sick and healthy runs, each threshold, warm-up and NaN."""

import dataclasses

import pytest
from health_runs import (
    Metrics,
    assert_judges_median,
    assert_skips_nan,
    assert_starts_at,
    flat,
    history,
    rising,
    scores_with_tau,
    seen,
    severity,
)

from tune_jobs.health.rules.values import RewardScale

RULE = RewardScale()


LARGE: Metrics = {
    "target_abs_max": 5e4,
    "value_loss": 1e8,
    "explained_variance": 0.0,
}


def test_large_unexplained_returns_are_warned_about():
    found = RULE(history(27, score=flat(27), **LARGE))
    assert found
    assert (found.severity, found.since) == ("warn", 1)
    assert "target_abs_max is 5e+04 in size" in found.evidence
    assert "explained variance is 0" in found.evidence


def test_large_returns_with_clipped_gradients_are_found():
    metrics: Metrics = {**LARGE, "explained_variance": 0.6, "grad_clip_fraction": 1.0}
    assert seen(RULE, 27, score=flat(27), **metrics) == ("warn", 1)


def test_tiny_returns_are_found_by_the_return_alone():
    metrics: Metrics = {"explained_variance": 0.0, "value_loss": 1e-9, "return_mean": 1e-5}
    assert seen(RULE, 27, score=flat(27), **metrics) == ("warn", 1)


@pytest.mark.parametrize(
    "change",
    [
        {"explained_variance": 0.6},
        {"target_abs_max": 80.0},
        {"value_loss": 0.9},  # rewards were normalised for the learner
        {"target_abs_max": 0.0},
    ],
)
def test_size_alone_is_healthy(change: Metrics):
    assert seen(RULE, 27, score=flat(27), **{**LARGE, **change}) is None


def test_a_run_that_learns_or_is_early_is_healthy():
    assert seen(RULE, 27, score=rising(27), **LARGE) is None
    assert seen(RULE, 15, 100, score=flat(15), **LARGE) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"target_abs_max": 105}, "warn"),
        ({"target_abs_max": 95}, None),
        ({"value_loss": 105}, "warn"),
        ({"value_loss": 95}, None),
        ({"explained_variance": 0.045}, "warn"),
        ({"explained_variance": 0.055}, None),
        ({"explained_variance": 0.6, "grad_clip_fraction": 0.96}, "warn"),
        ({"explained_variance": 0.6, "grad_clip_fraction": 0.94}, None),
        ({"target_abs_max": 1.05e5, "score": scores_with_tau(60, 0.5)}, "warn"),
        ({"target_abs_max": 0.95e5, "score": scores_with_tau(60, 0.5)}, None),
        ({"score": scores_with_tau(60, 0.29)}, "warn"),
        ({"score": scores_with_tau(60, 0.31)}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(60), **LARGE, **change}
    assert severity(RULE, 60, **metrics) == expected


@pytest.mark.parametrize(
    ("size", "explained", "expected"),
    [
        (0.0095, 0.0, "warn"),
        (0.0105, 0.0, None),
        (0.95e-4, 0.6, "warn"),
        (1.05e-4, 0.6, None),
    ],
)
def test_small_returns_are_warned_about(size: float, explained: float, expected: str | None):
    metrics: Metrics = {"return_mean": size, "value_loss": 1e-5, "explained_variance": explained}
    assert severity(RULE, 40, score=flat(40), **metrics) == expected


def test_the_median_of_ten_rows_is_judged():
    metrics: Metrics = {**LARGE, "score": flat(60)}
    assert_judges_median(RULE, 10, "target_abs_max", 150, 10, 10, **metrics)


def test_it_waits_for_a_fifth_of_the_budget():
    assert_starts_at(RULE, 20, 100, score=flat(100), **LARGE)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(
        RULE, 60, "target_abs_max", 50000.0, score=flat(60), value_loss=1e8, explained_variance=0.0
    )


@pytest.mark.parametrize("other", ["normalise_values", "normalise_advantages"])
def test_size_is_no_fault_of_standardised_values_and_advantages(other: str):
    metrics: Metrics = {"explained_variance": 0.0, "value_loss": 1e-9, "return_mean": 1e-5}
    both = {"normalise_values": True, "normalise_advantages": True}
    seen_by = dataclasses.replace(history(27, score=flat(27), **metrics), settings=both)
    assert RULE(seen_by) is None
    assert RULE(dataclasses.replace(seen_by, settings=both | {other: False}))
