"""Moving averages are judged as the fewer independent rows that they contain."""

import math

import numpy as np
import pytest
from health_runs import history

from rungwise.health import History
from rungwise.health.smoothed_progress import WINDOW, SmoothedProgress


def moving_average(returns, rows=40, per_row=22, **more):
    """The rows that SB3 would have logged of the returns of episodes."""
    ends = [per_row * (i + 1) for i in range(rows)]
    scores = [float(np.mean(returns[max(0, end - WINDOW) : end])) for end in ends]
    plain = history(rows, score=scores, episodes=per_row, **more)
    return History(plain.rows, rows, is_smoothed=True), plain


def test_the_walk_of_a_moving_average_is_no_improvement():
    wrong = {"smoothed": 0, "plain": 0}
    for seed in range(40):
        noise = 20 + np.random.default_rng(seed).exponential(12, 22 * 40)
        smoothed, plain = moving_average(noise)
        wrong["smoothed"] += bool(smoothed.progress.improved or smoothed.progress.trend > 0.3)
        wrong["plain"] += bool(plain.progress.improved or plain.progress.trend > 0.3)
    assert wrong["smoothed"] <= 4 < wrong["plain"]


@pytest.mark.parametrize("per_row", [1, 5, 22, 200])
def test_learning_is_seen_through_a_moving_average(per_row):
    n = 40 * per_row
    learnt = 20 + 180 * (1 - np.exp(-6 * np.arange(n) / n))
    returns = learnt * (1 + 0.4 * np.random.default_rng(0).normal(size=n))
    smoothed, _ = moving_average(returns, per_row=per_row)
    assert smoothed.progress.improved


def test_a_moving_average_of_too_few_rows_says_nothing():
    smoothed, _ = moving_average(np.ones(22 * 7), rows=7)
    assert smoothed.progress.improved is None
    assert isinstance(smoothed.progress, SmoothedProgress)
    assert math.isclose(smoothed.progress.repeats, WINDOW / 22)
    assert smoothed.without_last(6).progress.trend == 0.0


def fixed(returns, per_row=20):
    """A moving average of episodes that are all of one length."""
    return moving_average(returns, rows=len(returns) // per_row, per_row=per_row,
                          episode_length=20)[0]  # fmt: skip


def test_even_episodes_learnt_within_a_hundred_improve():
    learnt = np.concatenate([np.linspace(14, 20, 20), 20 + 0.5 * np.sin(np.arange(1180))])
    assert fixed(learnt).progress.improved
    uneven, _ = moving_average(learnt, rows=60, per_row=20)
    assert not uneven.progress.improved  # short ones came first?


def test_a_first_row_of_few_even_episodes_is_no_low_start():
    noise = [np.random.default_rng(seed).normal(0, 4, 1200) for seed in range(40)]
    assert sum(bool(fixed(returns).progress.improved) for returns in noise) <= 2
