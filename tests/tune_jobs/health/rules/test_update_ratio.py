"""Rule ``update_ratio``: sick and healthy runs, each threshold, warm-up and NaN."""

import pytest
from health_runs import (
    Metrics,
    assert_needs_last,
    assert_skips_nan,
    assert_starts_at,
    flat,
    from_row,
    history,
    rising,
    scores_with_tau,
    seen,
    severity,
)

from tune_jobs.health.rules.policy_steps import UpdateRatio

RULE = UpdateRatio()


def test_too_much_is_warned_about_and_too_little_asks_for_a_stop():
    found = RULE(history(27, score=flat(27), update_ratio=from_row(5, 0.6, 0.05), lr=0.1))
    assert found
    assert (found.severity, found.since) == ("warn", 5)
    assert "by 0.6 of their size at a learning rate of 0.1" in found.evidence
    assert seen(RULE, 27, score=flat(27), update_ratio=1e-8) == ("stop", 1)


def test_a_frozen_policy_is_left_to_its_own_rule():
    still: Metrics = {"kl": 1e-12, "clip_fraction": 0.0, "entropy": 1.38}
    assert seen(RULE, 27, score=flat(27), update_ratio=1e-8, **still) is None


@pytest.mark.parametrize("ratio", [0.6, 1e-8])
def test_a_run_that_learns_is_healthy(ratio: float):
    assert seen(RULE, 27, score=rising(27), update_ratio=ratio) is None


def test_a_schedule_that_ends_at_zero_is_healthy():
    ratio: Metrics = {"update_ratio": lambda i: 0.02 * (1 - i / 60) ** 2}
    assert seen(RULE, 60, score=flat(60), **ratio) is None


def test_a_learning_rate_that_warms_up_is_healthy():
    ratio: Metrics = {"update_ratio": from_row(25, 0.02, 1e-8)}
    for n in range(1, 30):
        assert seen(RULE, n, 300, score=flat(n), **ratio) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"update_ratio": 0.31}, "warn"),
        ({"update_ratio": 0.29}, None),
        ({"update_ratio": 0.95e-6}, "stop"),
        ({"update_ratio": 1.05e-6}, None),
        ({"update_ratio": 0.6, "score": scores_with_tau(60, 0.19)}, "warn"),
        ({"update_ratio": 0.6, "score": scores_with_tau(60, 0.21)}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(60), **change}
    assert severity(RULE, 60, **metrics) == expected


def test_the_last_five_rows_must_all_be_sick():
    assert_needs_last(RULE, 5, "update_ratio", 0.6, 0.05, score=flat(27))


def test_it_waits_for_a_tenth_of_the_budget():
    assert_starts_at(RULE, 20, 200, score=flat(200), update_ratio=0.6)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULE, 27, "update_ratio", 0.6, score=flat(27))
