# pyright: basic
"""Exploration control: in which direction it steers, and what it measures."""

import math

import naive
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algos.exploration import (
    adapt_entropy_coef,
    adapt_kl_coef,
    marginal_entropy,
    schedule_log_std,
)


def test_the_entropy_weight_grows_below_the_target_and_shrinks_above_it():
    assert adapt_entropy_coef(0.1, 0.2, 0.5) == pytest.approx(0.11)
    assert adapt_entropy_coef(0.11, 0.8, 0.5) == pytest.approx(0.1)


def test_the_entropy_weight_never_reaches_0_so_that_it_can_recover():
    coef = 0.1
    for _ in range(1000):
        coef = adapt_entropy_coef(coef, 1.0, 0.5)
    assert coef > 0
    for _ in range(1000):
        coef = adapt_entropy_coef(coef, 0.0, 0.5)
    assert coef == 10.0


@pytest.mark.parametrize(
    ("kl", "expected"), [(0.16, 0.4), (0.14, 0.2), (0.1, 0.2), (0.07, 0.2), (0.06, 0.1)]
)
def test_the_kl_weight_doubles_above_one_and_a_half_targets_and_halves_below_two_thirds(
    kl, expected
):
    assert adapt_kl_coef(0.2, kl, 0.1) == pytest.approx(expected)


def test_the_kl_weight_stays_within_bounds_from_which_it_can_return():
    low = high = 0.2
    for _ in range(100):
        low, high = adapt_kl_coef(low, 0.0, 0.1), adapt_kl_coef(high, 9.0, 0.1)
    assert (low, high) == (1e-6, 1e3)
    assert adapt_kl_coef(low, 9.0, 0.1) == 2e-6


def test_a_policy_that_is_certain_in_each_state_may_still_use_all_choices():
    assert marginal_entropy(torch.eye(3)).item() == pytest.approx(math.log(3))
    same = torch.tensor([[0.0, 1, 0]] * 3)
    assert marginal_entropy(same).item() == pytest.approx(0, abs=1e-6)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(2, 5), st.integers(0, 2**20))
def test_the_marginal_entropy_equals_its_naive_twin(B, A, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(B, A, generator=generator).softmax(-1)
    expected = naive.marginal_entropy(rows.tolist())
    assert marginal_entropy(rows).item() == pytest.approx(expected, abs=1e-5)


def test_the_marginal_entropy_pulls_a_concentrated_policy_apart():
    logits = torch.tensor([[3.0, 0], [3, 0]], requires_grad=True)
    marginal_entropy(logits.softmax(-1)).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 0] < 0).all() and (logits.grad[:, 1] > 0).all()


SPREAD = {"start": -1.0, "end": -3.0}


@pytest.mark.parametrize(
    ("kind", "progress", "expected"),
    [
        ("constant", 0.5, -1),
        ("constant", 1.0, -1),
        ("linear", 0.25, -1.5),
        ("linear", 1.0, -3),
        ("cosine", 0.5, -2),
    ],
)
def test_the_spread_follows_its_schedule_whatever_the_score(kind, progress, expected):
    for score in (None, 0.9):
        found = schedule_log_std(kind, **SPREAD, progress=progress, score=score, scores=(0, 1))
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("score", "scores", "expected"),
    [
        (0.0, (0, 1), -1),
        (0.5, (0, 1), -2),
        (0.9, (0, 0.8), -3),
        (-0.3, (0, 1), -1),
        # An error of 3 at first that is to fall to 1, and has come half of the way.
        (2.0, (3, 1), -2),
        (None, (0, 1), None),
        (math.nan, (0, 1), None),
    ],
)
def test_by_performance_the_spread_follows_how_far_the_score_has_come(score, scores, expected):
    found = schedule_log_std("performance", **SPREAD, progress=0.1, score=score, scores=scores)
    assert found == (None if expected is None else pytest.approx(expected))
