"""Rule ``no_exploration``: sick and healthy runs, each threshold, warm-up and NaN."""

import pytest
from health_runs import (
    Metrics,
    assert_skips_nan,
    flat,
    from_row,
    history,
    rising,
    scores_with_tau,
    seen,
    severity,
)

from tune_jobs.health.rules.entropy import NoExploration

RULE = NoExploration()


def test_a_policy_that_was_certain_from_the_start_is_found_early():
    assert seen(RULE, 5, 81, score=flat(5), entropy=0.01) == ("warn", 1)
    metrics: Metrics = {"entropy": 0.2, "entropy_normalised": 0.02}
    assert seen(RULE, 5, 81, score=flat(5), **metrics) == ("warn", 1)


def test_a_policy_that_imitated_is_noted():
    loss: Metrics = {"warm_start_loss": lambda i: 0.3 if i == 1 else None}
    assert seen(RULE, 27, score=flat(27), entropy=0.01, **loss) == ("note", 1)


def test_one_that_became_certain_is_left_to_entropy_collapse():
    assert seen(RULE, 27, score=flat(27), entropy=from_row(3, 0.01, 1.0)) is None


def test_a_rising_score_and_a_continuous_policy_are_healthy():
    assert seen(RULE, 27, score=rising(27), entropy=0.01) is None
    assert seen(RULE, 6, 27, score=[1.0, 2, 3, 4, 5, 6], entropy=0.01) is None
    assert seen(RULE, 27, score=flat(27), entropy=-1.5) is None


def test_the_first_rows_are_too_early():
    assert seen(RULE, 4, 27, score=flat(4), entropy=0.01) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"entropy_normalised": 0.048}, "warn"),
        ({"entropy_normalised": 0.052}, None),
        ({"entropy": 0.048}, "warn"),
        ({"entropy": 0.052}, None),
        ({"entropy": 0.01, "score": scores_with_tau(27, 0.19)}, "warn"),
        ({"entropy": 0.01, "score": scores_with_tau(27, 0.21)}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(27), "entropy": 0.2, **change}
    assert severity(RULE, 27, **metrics) == expected


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULE, 27, "entropy", 0.01, score=flat(27))


@pytest.mark.parametrize("loss", [{}, {"warm_start_loss": 0.3}])
def test_evidence_names_the_warm_start_where_there_was_one(loss: Metrics):
    found = RULE(history(27, score=flat(27), entropy=0.01, **loss))
    assert found and ("after a warm start" in found.evidence) == bool(loss)
