# pyright: basic
"""Advantages: what is bootstrapped from what, and how errors are summed."""

import math

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algos.rollouts.advantages import (
    compute_next_values,
    compute_value_metrics,
    estimate_v_star,
    gae,
    group_advantages,
    has_signal,
    leave_one_out,
    normalise,
    returns_to_go,
)

EXAMPLES = settings(derandomize=True, max_examples=40)


def array(*rows):
    return np.array(rows, np.float32)


@st.composite
def rollouts(draw):
    """Rewards, values, last values, terminated, truncated, final values of T steps of B copies."""
    T, B = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    flags = st.lists(st.booleans(), min_size=T * B, max_size=T * B)
    rewards, values, final = rng.normal(size=(3, T, B)).astype(np.float32)
    last = rng.normal(size=B).astype(np.float32)
    terminated, truncated = (np.array(draw(flags)).reshape(T, B) for _ in range(2))
    return rewards, values, last, terminated, truncated, final


def credit(rollout):
    """Return rewards, values, values of what follows, and ends of a drawn rollout."""
    rewards, values, last, terminated, truncated, final = rollout
    following = compute_next_values(values, last, terminated, truncated, final)
    return rewards, values, following, terminated | truncated


@st.composite
def groups(draw):
    """Returns [2, 3, G] of moderate size, half of the time so coarse that many are equal."""
    G = draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    coarse = rng.integers(-1, 2, size=(2, 3, G)) * draw(st.sampled_from([0.1, 1.0, 7.3]))
    if draw(st.booleans()):
        return coarse.astype(np.float32)
    return (coarse + rng.normal(size=(2, 3, G))).astype(np.float32)


def of_each_group(twin, returns, **options):
    """What a twin says about each row of returns [..., G], as an array."""
    rows = [twin(row, **options) for row in returns.reshape(-1, returns.shape[-1]).tolist()]
    return np.array(rows).reshape(returns.shape[:-1] + np.shape(rows[0]))


# What the next state is worth.


def one_copy(terminated, truncated):
    """Three steps of one copy whose values are 1, 2, 3, then 4; final observations are worth 9."""
    flags = np.zeros((2, 3, 1), bool)
    flags[0, 1], flags[1, 1] = terminated, truncated
    return compute_next_values(
        array([1], [2], [3]), array(4), flags[0], flags[1], np.full((3, 1), 9, np.float32)
    )[:, 0]


@pytest.mark.parametrize(
    ("terminated", "truncated", "expected"),
    [
        (False, False, [2, 3, 4]),  # a running episode is bootstrapped from the next row
        (True, False, [2, 0, 4]),
        (False, True, [2, 9, 4]),
        (True, True, [2, 0, 4]),  # a terminal state at the time limit has no future either
    ],
)
def test_what_follows_a_step_depends_on_how_it_ended(terminated, truncated, expected):
    assert one_copy(terminated, truncated).tolist() == expected


def test_the_last_row_of_a_rollout_follows_the_same_rules():
    nothing = np.zeros((1, 4), bool)
    terminated, truncated = nothing.copy(), nothing.copy()
    terminated[0, [1, 3]] = True
    truncated[0, [2, 3]] = True
    found = compute_next_values(
        array([1, 1, 1, 1]), array(5, 6, 7, 8), terminated, truncated, array([9, 9, 9, 9])
    )
    assert found.tolist() == [[5, 0, 9, 0]]


@EXAMPLES
@given(rollouts())
def test_next_values_equal_their_naive_twin(rollout):
    _, values, last, terminated, truncated, final = rollout
    lists = (a.tolist() for a in (values, last, terminated, truncated, final))
    found = compute_next_values(values, last, terminated, truncated, final)
    np.testing.assert_array_equal(
        found, np.array(naive.next_values(*lists), np.float32), strict=True
    )


# Generalised advantage estimation.


def test_gae_of_three_steps_worked_out_by_hand():
    # gamma = 0.5, lambda = 0.5; the episode ends at the second step.
    # delta = [1 + 0.5 * 3 - 2, 2 + 0 - 3, 4 + 0.5 * 6 - 1] = [0.5, -1, 6]
    # A_1 = -1 (the episode ends), A_0 = 0.5 + 0.25 * -1 = 0.25, A_2 = 6 (nothing after it).
    found = gae(
        array([1], [2], [4]),
        array([2], [3], [1]),
        array([3], [0], [6]),
        np.array([[False], [True], [False]]),
        0.5,
        0.5,
    )
    assert found[:, 0].tolist() == [0.25, -1, 6]


@EXAMPLES
@given(rollouts(), st.floats(0, 1), st.floats(0, 1))
def test_gae_equals_its_naive_twin(rollout, gamma, lam):
    arrays = credit(rollout)
    expected = naive.gae(*(a.tolist() for a in arrays), gamma=gamma, lam=lam)
    np.testing.assert_allclose(gae(*arrays, gamma, lam), expected, rtol=1e-4, atol=1e-5)


def test_gae_leaves_its_arguments_as_they_are():
    rewards, values, following = array([1], [2]), array([3], [4]), array([5], [6])
    gae(rewards, values, following, np.zeros((2, 1), bool), 0.9, 0.9)
    assert [a.tolist() for a in (rewards, values, following)] == [
        [[1], [2]],
        [[3], [4]],
        [[5], [6]],
    ]


# Discounted returns.


def test_returns_to_go_of_three_steps_worked_out_by_hand():
    # gamma = 0.5; the episode ends at the second step, cut off at a state worth 8:
    # R_1 = 2 + 0.5 * 8 = 6, R_0 = 1 + 0.5 * 6 = 4, and R_2 = 4 + 0.5 * 6 = 7 at the last row.
    found = returns_to_go(
        array([1], [2], [4]), array([3], [8], [6]), np.array([[False], [True], [False]]), 0.5
    )
    assert found[:, 0].tolist() == [4, 6, 7]


@EXAMPLES
@given(rollouts(), st.floats(0, 1))
def test_returns_to_go_equal_their_naive_twin(rollout, gamma):
    rewards, _, following, done = credit(rollout)
    lists = (a.tolist() for a in (rewards, following, done))
    found = returns_to_go(rewards, following, done, gamma)
    np.testing.assert_allclose(found, naive.monte_carlo(*lists, gamma=gamma), rtol=1e-4, atol=1e-5)


@EXAMPLES
@given(rollouts(), st.floats(0, 1))
def test_returns_to_go_are_gae_with_lambda_1_plus_the_value(rollout, gamma):
    rewards, values, following, done = credit(rollout)
    found = returns_to_go(rewards, following, done, gamma)
    advantages = gae(rewards, values, following, done, gamma, 1.0)
    np.testing.assert_allclose(found, advantages + values, rtol=1e-4, atol=1e-4)


# Advantages within a group.


def test_a_group_of_two_worked_out_by_hand():
    # Returns 3 and 1: mean 2, so 1 and -1. Their sample deviation is sqrt((1 + 1) / 1) = sqrt(2),
    # so a pair becomes +-1 / sqrt(2) whatever the distance. Left out one by one: 3 - 1, 1 - 3.
    returns = array([3, 1], [300, 100])
    np.testing.assert_array_equal(group_advantages(returns, scale=False), [[1, -1], [100, -100]])
    half = 0.5**0.5
    np.testing.assert_allclose(
        group_advantages(returns, scale=True), [[half, -half]] * 2, rtol=1.1e-4
    )
    np.testing.assert_array_equal(leave_one_out(returns), [[2, -2], [200, -200]])


@EXAMPLES
@given(groups(), st.booleans())
def test_group_advantages_equal_their_naive_twin(returns, scale):
    expected = of_each_group(naive.group_advantages, returns, scale=scale)
    found = group_advantages(returns, scale=scale)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@EXAMPLES
@given(groups())
def test_leave_one_out_equals_its_naive_twin(returns):
    found = leave_one_out(returns)
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, of_each_group(naive.leave_one_out, returns), rtol=1e-4, atol=1e-5
    )


@EXAMPLES
@given(groups())
def test_leave_one_out_scales_the_distance_from_the_mean(returns):
    G = returns.shape[-1]
    expected = G / (G - 1) * (returns - returns.mean(-1, keepdims=True))
    np.testing.assert_allclose(leave_one_out(returns), expected, rtol=1e-4, atol=1e-5)


@EXAMPLES
@given(st.floats(-1e6, 1e6, width=32), st.integers(2, 9))
def test_a_group_without_a_signal_gets_exactly_0(value, G):
    # The mean of equal float32 numbers may differ from them in the last digit.
    returns = np.full((2, G), value, np.float32)
    for found in (
        group_advantages(returns, scale=True),
        group_advantages(returns, scale=False),
        leave_one_out(returns),
    ):
        assert (found == 0).all()


def test_a_group_has_a_signal_unless_its_returns_are_all_equal():
    returns = array([0, 0, 0], [2, 2, 2], [-1, 1, 1], [1, 1, 1.001], [0, 0, 1e-6])
    assert has_signal(returns).tolist() == [False, False, True, True, True]
    assert has_signal(np.zeros((2, 3, 4), np.float32)).shape == (2, 3)
    assert not has_signal(array(1, 1))


def test_a_difference_of_rounding_only_is_no_signal():
    returns = np.array([[0.1 + 0.2, 0.3], [1.0, 1.0 + 1e-10], [1e-12, 2e-12], [1.0, 1.0 + 1e-6]])
    assert has_signal(returns).tolist() == [False, False, True, True]


def test_a_nan_return_counts_as_a_signal():
    returns = array([np.nan, 1, 1], [np.nan, np.nan, np.nan])
    assert has_signal(returns).all()
    assert np.isnan(group_advantages(returns, scale=True)).all()
    assert np.isnan(leave_one_out(returns)).all()


# The optimal value.


def test_v_star_worked_out_by_hand():
    # Half of the returns 1, half 0, beta = 1 / ln 3: exp(R / beta) is 3 or 1, their mean is 2,
    # so V* = ln 2 / ln 3.
    returns, beta = array([0, 1, 1, 0]), 1 / np.log(3)
    assert estimate_v_star(returns, "softmax", beta).tolist() == pytest.approx(
        [np.log(2) / np.log(3)]
    )
    assert estimate_v_star(returns, "max", beta).tolist() == [1]
    assert estimate_v_star(returns, "mean", beta).tolist() == [0.5]


@EXAMPLES
@given(groups(), st.sampled_from(["softmax", "max", "mean"]), st.floats(0.1, 10))
def test_v_star_equals_its_naive_twin(returns, kind, beta):
    expected = of_each_group(naive.v_star, returns, kind=kind, beta=beta)
    found = estimate_v_star(returns, kind, beta)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@EXAMPLES
@given(groups(), st.floats(1e-3, 1e3), st.floats(1.01, 100))
def test_v_star_lies_between_mean_and_maximum(returns, beta, factor):
    mean, best = (estimate_v_star(returns, kind, beta) for kind in ("mean", "max"))
    tight, loose = (estimate_v_star(returns, "softmax", b) for b in (beta, factor * beta))
    assert (mean <= loose + 1e-5).all()
    assert (loose <= tight + 1e-5).all()
    assert (tight <= best + 1e-5).all()


@EXAMPLES
@given(groups())
def test_v_star_tends_to_maximum_and_mean_for_extreme_beta(returns):
    small, large = (estimate_v_star(returns, "softmax", beta) for beta in (1e-8, 1e8))
    np.testing.assert_allclose(small, returns.max(-1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(large, returns.mean(-1), rtol=1e-5, atol=1e-6)


def test_v_star_does_not_overflow_and_shifts_with_its_returns():
    returns = array([0, 1, 2])
    shifted = estimate_v_star(returns + 1000, "softmax", 0.5)
    np.testing.assert_allclose(shifted, estimate_v_star(returns, "softmax", 0.5) + 1000, rtol=1e-6)


# Scale.


def test_normalised_advantages_keep_their_order():
    advantages = array([3, -1], [10, 4])
    found = normalise(advantages)
    assert found.mean() == pytest.approx(0, abs=1e-6)
    assert found.std() == pytest.approx(1, abs=1e-6)
    assert np.argsort(found, None).tolist() == np.argsort(advantages, None).tolist()


def test_equal_advantages_are_normalised_to_0_not_to_nan():
    assert normalise(np.full((2, 2), 3, np.float32)).tolist() == [[0, 0], [0, 0]]
    # Of which float32 gets the mean wrong by one step.
    assert not normalise(np.full(2048, 1000.1, np.float32)).any()


def test_value_metrics_are_size_and_explained_variance():
    values, returns = array(1, -3, 2, 0), array(2, -2, 2, 0)
    found = compute_value_metrics(values, returns)
    assert (found["value_abs_max"], found["target_abs_max"]) == (3, 2)
    # Errors 1, 1, 0, 0 have the variance .25; returns of mean .5 that of 11 / 4.
    assert found["explained_variance"] == pytest.approx(1 - 0.25 / 2.75)
    assert compute_value_metrics(returns, returns)["explained_variance"] == 1


def test_equal_returns_leave_nothing_to_explain():
    found = compute_value_metrics(array(1, 2), array(-5, -5))
    assert found == {"value_abs_max": 2, "target_abs_max": 5}
    assert compute_value_metrics(array(1, 2), array(0, 1e-7)).keys() == found.keys()
    assert "explained_variance" in compute_value_metrics(array(1, 2), array(0, 1e-5))


def test_normalised_advantages_are_centred_and_of_one_deviation():
    np.testing.assert_allclose(normalise(array(1, 3, 5)), array(-1, 0, 1) * math.sqrt(1.5))
    assert normalise(array(2, 2)).tolist() == [0, 0]
    assert normalise(np.array([1.0, 2.0])).dtype == np.float32


def test_v_star_mean_adds_in_double_precision():
    returns = np.array([2.0**24, 1.0, 1.0], np.float32)  # float32 loses both ones
    assert estimate_v_star(returns, "mean", 1.0) == (2**24 + 2) / 3
