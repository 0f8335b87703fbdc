"""A history: series, onsets, warm-ups, and what it was before."""

import math

import numpy as np
from health_runs import history, make_rows, rising

from tune_jobs.health import History


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
