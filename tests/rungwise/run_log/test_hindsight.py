"""A stop is wrong where the means of tenths rise by more than noise and a tenth of their range."""

import numpy as np
import pytest

from rungwise.run_log.hindsight import is_best_at, rises_after

NAN = float("nan")
LATE = [0.0] * 60 + [1.0] * 40
"""A reward that is found after 60 of 100 rows."""


@pytest.mark.parametrize(("stop", "rises"), [(20, True), (60, True), (67, True), (70, False)])
def test_late_reward_by_the_tenth_before_the_stop(stop: int, rises: bool):
    # Of the ten rows before row 69 nine have the reward: a tenth of the range is left to gain.
    assert rises_after(LATE, stop) is rises


def test_limit_is_a_tenth_of_the_range_of_the_means():
    middle = [0.0] * 10 + [1.0] * 10 + [0.5] * 70
    assert rises_after([*middle, *[0.61] * 10], 90)
    assert not rises_after([*middle, *[0.59] * 10], 90)


@pytest.mark.parametrize(("rise", "rises"), [(12.0, True), (2.0, False)])
def test_gain_counts_beyond_its_noise_not_beyond_single_scores(rise: float, rises: bool):
    noise = np.random.default_rng(0).normal(0.0, 10.0, 200)
    # Less than a fifth of the range of single scores, which is that of the noise.
    assert rises_after(noise + np.repeat([0.0, rise], 100), 100) is rises


def test_a_run_is_at_its_best_unless_it_was_as_good_all_the_time():
    rising = np.arange(100.0)
    assert is_best_at(rising, 80) and not is_best_at(rising, 80, "min")
    assert is_best_at([*[0.0] * 40, *[1.0] * 60], 80)
    assert not is_best_at([1.0] * 100, 80)
    assert not is_best_at([*rising[:60], *[30.0] * 40], 80)
    assert not is_best_at([], 0)


def test_end_is_a_mean_and_no_single_score():
    assert not rises_after([*[0.0] * 99, 1.0], 50)
    assert rises_after([*[0.0] * 97, *[1.0] * 3], 50)


@pytest.mark.parametrize("factor", [1.0, 1e-300, 1e308])
def test_minimised_scores_are_judged_alike(factor: float):
    losses = factor * (1 - np.array(LATE))
    assert rises_after(losses, 40, "min")
    assert not rises_after(losses, 40, "max")
    assert rises_after(factor * np.array(LATE), 40)


def test_fall_is_no_rise():
    assert not rises_after(LATE[::-1], 30)
    assert rises_after(LATE[::-1], 30, "min")


def test_rows_without_a_finite_score_are_left_out():
    sparse = np.full((100, 3), NAN)
    sparse[:, 1] = LATE
    sparse[:, 2] = np.inf
    for stop in (20, 60, 70, 100):
        assert rises_after(sparse.ravel(), 3 * stop) == rises_after(LATE, stop)


@pytest.mark.parametrize(
    ("scores", "stop"),
    [([3.0] * 50, 25), ([], 0), ([NAN] * 20, 10), (LATE, 100), ([1.0], 1), ([1.0], 0)],
)
def test_constant_empty_and_complete_runs_do_not_rise(scores: list[float], stop: int):
    assert not rises_after(scores, stop)


def test_fewer_than_ten_scores_are_compared_one_by_one():
    assert rises_after([0.0, 0.0, 1.0], 2)
    assert not rises_after([0.0, 0.0, 1.0, 0.0], 2)
    assert rises_after([0.0, 1.0], 1)


def test_first_score_stands_for_a_stop_before_it():
    assert rises_after([NAN, NAN, 0.0, 1.0], 1)
    assert not rises_after([NAN, NAN, 1.0, 0.0], 0)
