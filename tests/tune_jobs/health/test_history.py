# pyright: basic
"""A history whose score is measured only in some rows is judged by its scores, not by its rows."""

import numpy as np
import pytest
from health_runs import history

from tune_jobs.health.rules.no_improvement import NoImprovement
from tune_jobs.health.rules.performance_collapse import PerformanceCollapse

EVERY = 10


def measured_every(values, every=EVERY):
    """The curve of a score that exists in the rows 1, 1 + every, ..."""
    return [values[i // every] if i % every == 0 else None for i in range(len(values) * every)]


def sparse(values, budget=None):
    n = len(values) * EVERY
    return history(n, budget or n, score=measured_every(values))


def test_score_rows_are_the_rows_with_a_score():
    assert sparse([1.0, 2.0, 3.0]).score_rows.tolist() == [0, 10, 20]
    assert history(4, entropy=1.0).score_rows.tolist() == [0, 1, 2, 3]


def test_the_score_budget_scales_with_the_pace_of_scores():
    assert sparse([1.0] * 5, budget=200).score_budget == 20
    assert history(50, 200, score=1.0).score_budget == 200
    assert history(0, 200).score_budget == 200


def test_before_scores_drops_whole_scores():
    known = sparse([1.0, 2.0, 3.0])
    assert [len(known.before_scores(ago)) for ago in range(5)] == [30, 20, 10, 0, 0]
    assert np.nanmax(known.before_scores(1).scores) == 2.0


def test_before_scores_equals_without_last_where_every_row_has_one():
    known = history(12, score=lambda i: i)
    assert all(known.before_scores(ago) is known.without_last(ago) for ago in range(1, 12))


def test_recent_improvement_is_looked_for_among_scores():
    # Improved up to its twelfth score, and then four bad ones: 40 rows, but four checks.
    values = [*np.linspace(0.0, 10.0, 12), -30.0, 30.0, -30.0, 30.0]
    known = sparse(values)
    assert known.before_scores(4).improved and not known.improved
    assert known.has_improved_lately(8)


@pytest.mark.parametrize(("after", "found"), [(8, False), (30, True)])
def test_no_improvement_counts_scores_that_stood(after, found):
    rng = np.random.default_rng(0)
    values = [5.0, *rng.normal(0.0, 0.5, after)]
    # 80 rows after the best hold only eight scores: less than 30 % of the scores of the budget.
    finding = NoImprovement()(sparse(values, budget=310))
    assert (finding is not None) == found


def test_a_repeated_score_is_no_patience():
    flat = list(np.random.default_rng(1).normal(0.0, 1.0, 31))
    finding = NoImprovement()(sparse(flat))
    assert finding is None or finding.since <= 310 - 10 * 20


def test_collapse_lasts_for_a_tenth_of_the_scores():
    values = [*np.linspace(0.0, 100.0, 20), *[1.0] * 5]
    finding = PerformanceCollapse()(sparse(values))
    assert finding and finding.since == 201
    assert finding.evidence.endswith("since iteration 201")
