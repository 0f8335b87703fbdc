# pyright: basic
"""Advantages: what is bootstrapped from what, and how errors are summed."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.rllib.utils.postprocessing.value_predictions import compute_value_targets

from algos.advantages import gae, next_values, normalised

EXAMPLES = settings(derandomize=True, max_examples=40, deadline=None)


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


# What the next state is worth.


def one_copy(terminated, truncated):
    """Three steps of one copy whose values are 1, 2, 3, then 4; final observations are worth 9."""
    flags = np.zeros((2, 3, 1), bool)
    flags[0, 1], flags[1, 1] = terminated, truncated
    return next_values(
        array([1], [2], [3]), array(4), flags[0], flags[1], np.full((3, 1), 9, np.float32)
    )[:, 0]


def test_a_running_episode_is_bootstrapped_from_the_next_row():
    assert one_copy(False, False).tolist() == [2, 3, 4]


def test_a_terminated_episode_has_no_future():
    assert one_copy(True, False).tolist() == [2, 0, 4]


def test_a_truncated_episode_is_bootstrapped_from_its_final_observation():
    assert one_copy(False, True).tolist() == [2, 9, 4]


def test_an_episode_that_terminates_at_its_time_limit_has_no_future():
    assert one_copy(True, True).tolist() == [2, 0, 4]


def test_the_last_row_of_a_rollout_follows_the_same_rules():
    nothing = np.zeros((1, 4), bool)
    terminated, truncated = nothing.copy(), nothing.copy()
    terminated[0, [1, 3]] = True
    truncated[0, [2, 3]] = True
    found = next_values(
        array([1, 1, 1, 1]), array(5, 6, 7, 8), terminated, truncated, array([9, 9, 9, 9])
    )
    assert found.tolist() == [[5, 0, 9, 0]]


@EXAMPLES
@given(rollouts())
def test_next_values_equal_their_naive_twin(rollout):
    _, values, last, terminated, truncated, final = rollout
    lists = (a.tolist() for a in (values, last, terminated, truncated, final))
    found = next_values(values, last, terminated, truncated, final)
    np.testing.assert_array_equal(found, np.array(naive.next_values(*lists), np.float32))


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
    rewards, values, last, terminated, truncated, final = rollout
    following = next_values(values, last, terminated, truncated, final)
    done = terminated | truncated
    lists = (a.tolist() for a in (rewards, values, following, done))
    expected = naive.gae(*lists, gamma=gamma, lam=lam)
    found = gae(rewards, values, following, done, gamma, lam)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@EXAMPLES
@given(rollouts(), st.floats(0, 1))
def test_gae_with_lambda_0_is_the_one_step_error(rollout, gamma):
    rewards, values, last, terminated, truncated, final = rollout
    following = next_values(values, last, terminated, truncated, final)
    found = gae(rewards, values, following, terminated | truncated, gamma, 0.0)
    np.testing.assert_allclose(found, rewards + gamma * following - values, rtol=1e-5, atol=1e-5)


@EXAMPLES
@given(rollouts(), st.floats(0, 1))
def test_gae_with_lambda_1_is_the_monte_carlo_return_minus_the_value(rollout, gamma):
    rewards, values, last, terminated, truncated, final = rollout
    following = next_values(values, last, terminated, truncated, final)
    done = terminated | truncated
    lists = (a.tolist() for a in (rewards, following, done))
    returns = naive.monte_carlo(*lists, gamma=gamma)
    found = gae(rewards, values, following, done, gamma, 1.0)
    np.testing.assert_allclose(found, np.array(returns) - values, rtol=1e-4, atol=1e-4)


@EXAMPLES
@given(rollouts(), st.floats(0, 1), st.floats(0, 1))
def test_gae_agrees_with_rllibs_own(rollout, gamma, lam):
    rewards, values, last, terminated, truncated, final = rollout
    truncated &= ~terminated
    following = next_values(values, last, terminated, truncated, final)
    found = gae(rewards, values, following, terminated | truncated, gamma, lam)
    for b in range(len(last)):
        # RLlib finds the value after a cut in an extra row that it puts there.
        rows, real = [], []
        for t in range(len(rewards)):
            cut = truncated[t, b] or (t == len(rewards) - 1 and not terminated[t, b])
            real.append(len(rows))
            rows.append((values[t, b], rewards[t, b], terminated[t, b], cut))
            if cut:
                rows.append((following[t, b], 0.0, True, False))
        columns = (np.array(c, np.float32) for c in zip(*rows, strict=True))
        targets = compute_value_targets(*columns, gamma=gamma, lambda_=lam)
        np.testing.assert_allclose(found[:, b] + values[:, b], targets[real], rtol=1e-4, atol=1e-5)


def test_gae_leaves_its_arguments_as_they_are():
    rewards, values, following = array([1], [2]), array([3], [4]), array([5], [6])
    gae(rewards, values, following, np.zeros((2, 1), bool), 0.9, 0.9)
    assert [a.tolist() for a in (rewards, values, following)] == [
        [[1], [2]],
        [[3], [4]],
        [[5], [6]],
    ]


def test_normalised_advantages_have_mean_0_and_deviation_1_and_keep_their_order():
    advantages = array([3, -1], [10, 4])
    found = normalised(advantages)
    assert found.mean() == pytest.approx(0, abs=1e-6)
    assert found.std() == pytest.approx(1, abs=1e-6)
    assert np.argsort(found, None).tolist() == np.argsort(advantages, None).tolist()


def test_equal_advantages_are_normalised_to_0_not_to_nan():
    assert normalised(np.full((2, 2), 3, np.float32)).tolist() == [[0, 0], [0, 0]]
