# pyright: basic
"""A history: series, onsets, warm-ups, and what it was before."""

import math
from typing import Any

import numpy as np
import pytest
from health_runs import history, make_rows, rising

from rungwise.health import History, diagnose
from rungwise.health.rules.no_improvement import NoImprovement
from rungwise.health.rules.scores import PerformanceCollapse


def test_series_are_nan_where_a_row_has_no_number():
    rows = [{"a": 1.0}, {}, {"a": [0.5, 0.5]}, {"a": "text"}, {"a": None}, {"a": 2}]
    series = History(rows, 6).series("a")
    np.testing.assert_array_equal(series, [1, math.nan, math.nan, math.nan, math.nan, 2])


def test_since_goes_back_while_each_row_is_sick():
    sick = np.array([1, 0, 0, 1, 1, 1, 1, 1], bool)
    assert history(8, a=0).find_onset(sick, 3) == 4
    assert history(8, a=0).find_onset(np.array([0, 0, 0, 0, 0, 0, 1, 1], bool), 4) == 7


def test_iterations_and_budget_are_read_from_the_rows():
    rows = make_rows(10, score=1)[4:]
    seen = History(rows, 20)
    assert (seen.iteration(0), seen.iteration(-1), seen.budget_fraction_used) == (5, 10, 0.5)
    assert History([], 20).budget_fraction_used == 0


def test_a_warm_up_needs_at_most_half_of_the_budget_in_rows():
    assert history(14, 27, a=0).is_warmed_up(30, 0.4)
    assert not history(13, 27, a=0).is_warmed_up(30, 0.4)
    assert not history(29, 300, a=0).is_warmed_up(30, 0.0)


def test_an_earlier_history_has_its_own_rows_and_series():
    seen = history(10, score=rising(10))
    assert seen.series("score").size == 10
    earlier = seen.without_last(3)
    assert len(earlier) == earlier.series("score").size == 7
    assert len(seen.without_last(99)) == 0


EVERY = 10


def measured_every(values, every=EVERY):
    """The curve of a score that exists in the rows 1, 1 + every, ..."""
    return [values[i // every] if i % every == 0 else None for i in range(len(values) * every)]


def sparse(values, budget=None):
    n = len(values) * EVERY
    return history(n, budget or n, score=measured_every(values))


def test_score_rows_are_the_rows_with_a_score():
    assert sparse([1.0, 2.0, 3.0]).progress.score_rows.tolist() == [0, 10, 20]
    assert history(4, entropy=1.0).progress.score_rows.tolist() == [0, 1, 2, 3]


def test_the_score_budget_scales_with_the_pace_of_scores():
    assert sparse([1.0] * 5, budget=200).score_budget == 20
    assert history(50, 200, score=1.0).score_budget == 200
    assert history(0, 200).score_budget == 200
    rare = [{"iteration": 10 * i, "score": 1.0} for i in range(1, 6)]
    assert History(rare, 200).score_budget == 20


def test_before_scores_drops_whole_scores():
    known = sparse([1.0, 2.0, 3.0])
    assert [len(known.before_scores(ago)) for ago in range(5)] == [30, 20, 10, 0, 0]
    assert np.nanmax(known.before_scores(1).progress.scores) == 2.0


def test_before_scores_is_without_last_if_every_row_has_one():
    known = history(12, score=lambda i: i)
    assert all(known.before_scores(ago) is known.without_last(ago) for ago in range(1, 12))


def test_recent_improvement_is_looked_for_among_scores():
    # Improved up to its twelfth score, and then four bad ones: 40 rows, but four checks.
    values = [*np.linspace(0.0, 10.0, 12), -30.0, 30.0, -30.0, 30.0]
    known = sparse(values)
    assert known.before_scores(4).progress.improved and not known.progress.improved
    assert known.progress.has_improved_lately(8)


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


def late_learner(n: int = 20, budget: int = 20, **changed: Any) -> History:
    """A run whose first ten iterations are random, and which learns slowly after these."""
    metrics: dict[str, Any] = {
        "env_steps": lambda i: 150.0 * i,
        "warm_up_steps": 1500.0,
        "score": [0.0] * 10 + [2.0 * i for i in range(10)],
        "value_loss": lambda i: 1.0 if i > 10 else None,
    }
    known = {name: curve for name, curve in (metrics | changed).items() if curve is not None}
    return History(make_rows(n, **known), budget)


@pytest.mark.parametrize(
    "changed", [{}, {"warm_up_steps": None}, {"value_loss": None}, {"env_steps": lambda i: 149 * i}]
)
def test_random_steps_before_the_first_update_are_left_out(changed: dict[str, Any]):
    learning = late_learner(**changed).since_learning
    assert (len(learning), learning.warm_up, learning.iteration(0)) == (10, 10, 11)
    assert learning.budget_fraction_used == 1
    assert late_learner(15, **changed).since_learning.budget_fraction_used == 0.5
    assert learning.score_budget == 10


def test_nothing_is_left_of_a_run_that_only_fills_its_buffer():
    run = late_learner(9, value_loss=None)
    assert len(run.since_learning) == 0
    assert diagnose(run).findings == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"warm_up_steps": None, "value_loss": None},  # nothing is known
        {"warm_up_steps": None, "value_loss": lambda i: 1.0 if i > 1 else None},
        {"warm_up_steps": None, "updates": lambda i: float(i > 10)},  # a rule of its own
        {"warm_up_steps": 0.0},
    ],
)
def test_a_run_that_learns_from_its_start_has_no_warm_up(changed: dict[str, Any]):
    run = late_learner(**changed)
    assert run.since_learning is run


def test_no_improvement_waits_until_there_was_time_to_improve():
    flat = {"score": [-1000.0 - i % 3 for i in range(40)], "value_loss": None}
    plain = late_learner(22, 40, **flat, warm_up_steps=None, env_steps=None)
    assert [f.symptom for f in diagnose(plain).findings] == ["no_improvement"]
    run = late_learner(22, 40, **flat)
    assert diagnose(run).findings == ()
    found = diagnose(late_learner(34, 40, **flat)).findings
    assert [f.symptom for f in found] == ["no_improvement"]
