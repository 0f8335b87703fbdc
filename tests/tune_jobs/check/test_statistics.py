# pyright: basic
"""The tests that ``check`` relies on: how often they are wrong, and how much they see."""

import numpy as np
import pytest

from tune_jobs.check.statistics import (
    compute_detectable_fraction,
    compute_frequencies_p_value,
    compute_welch_gap,
    run_paired_test,
)


def returns(starts, share, seed):
    """Normal returns [S, 2, 2]: of the variance within a start, ``share`` lies between actions."""
    rng = np.random.default_rng(seed)
    start = 10 * rng.normal(size=(starts, 1, 1))
    way = np.sqrt(share) * rng.normal(size=(starts, 2, 1))
    return start + way + np.sqrt(1 - share) * rng.normal(size=(starts, 2, 2))


def test_few_starts_prove_that_actions_explain_everything():
    pairs = run_paired_test(np.array([[[1, 1], [2, 2]]] * 5))
    assert (pairs.variance_fraction, pairs.noisy, pairs.differing) == (1, 0, 5)
    assert pairs.p_value < 0.01  # by chance 1 in 3 ** 5


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_starts_with_a_return_that_is_not_finite_are_left_out(broken):
    four = np.array([[[1, 1], [2, 2]]] * 6, float)
    four[2, 0, 1] = broken
    pairs = run_paired_test(four)
    assert (pairs.starts, pairs.differing, pairs.variance_fraction) == (5, 5, 1)


def test_the_same_return_whatever_is_done_explains_nothing():
    pairs = run_paired_test(np.arange(10.0)[:, None, None] * np.ones((10, 2, 2)))
    assert (pairs.variance_fraction, pairs.differing, pairs.p_value) == (0, 0, 1)


def test_without_an_effect_one_test_in_twenty_finds_one():
    found = [run_paired_test(returns(30, 0, seed)).p_value <= 0.05 for seed in range(100)]
    assert 0.0 < np.mean(found) <= 0.1


def test_the_detectable_fraction_is_found_in_nine_of_ten_tests():
    share = compute_detectable_fraction(60)
    assert 0.2 < share < 0.5
    found = [run_paired_test(returns(60, share, seed)).p_value <= 0.05 for seed in range(60)]
    assert 0.8 <= np.mean(found) <= 0.98


def test_the_share_is_estimated_without_bias():
    shares = [run_paired_test(returns(300, 0.4, seed)).variance_fraction for seed in range(20)]
    assert np.mean(shares) == pytest.approx(0.4, abs=0.05)


def test_one_success_in_four_plays_says_nothing_about_actions():
    lucky = np.zeros((50, 2, 2))
    lucky[:, 0, 0] = 1
    pairs = run_paired_test(lucky)
    assert pairs.p_value > 0.9
    assert pairs.detectable_fraction == 1


def test_frequencies_that_fit_are_let_through_and_others_are_not():
    rng, p = np.random.default_rng(0), np.array([0.5, 0.3, 0.15, 0.05])
    assert compute_frequencies_p_value(rng.multinomial(4000, p), p) > 0.01
    assert compute_frequencies_p_value(rng.multinomial(4000, [0.45, 0.35, 0.15, 0.05]), p) < 0.001


def test_a_difference_of_means_is_counted_in_standard_errors():
    assert compute_welch_gap(np.zeros(9), np.ones(9)) > 100
    assert compute_welch_gap(np.ones(9), np.ones(9)) == 0
    rng = np.random.default_rng(0)
    assert abs(compute_welch_gap(rng.normal(size=100), rng.normal(size=100))) < 3
