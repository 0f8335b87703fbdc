import math
from typing import Literal

import numpy as np
import pytest
from health_runs import Curve, flat, history, make_rows, rising
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.health import History
from rungwise.health.improvement import (
    FloatArray,
    Improvement,
    is_rising,
    kendall_tau,
    median,
    pool_scores,
    quantile,
    root_sum_of_squares,
)
from rungwise.validation import InputError


def improved(
    scores: list[float], mode: Literal["min", "max"] = "max", **metrics: Curve
) -> bool | None:
    rows = make_rows(len(scores), score=scores, **metrics)
    return History(rows, len(rows), mode=mode).progress.improved


def naive_tau(values: list[int]) -> float:
    pairs = [(a, b) for i, a in enumerate(values) for b in values[i + 1 :]]
    return sum((b > a) - (b < a) for a, b in pairs) / len(pairs)


@settings(derandomize=True)
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=30))
def test_kendall_tau_is_the_count_over_all_pairs(values: list[int]):
    assert kendall_tau(np.array(values, float)) == pytest.approx(naive_tau(values))


@settings(derandomize=True)
@given(st.lists(st.floats(-1e300, 1e300) | st.just(math.nan), min_size=1, max_size=30))
def test_the_median_is_that_of_numpy(values: list[float]):
    np.testing.assert_array_equal(median(np.array(values)), np.median(values))


@settings(derandomize=True)
@given(st.lists(st.floats(-1e200, 1e200), min_size=1, max_size=30), st.floats(0, 1))
def test_a_quantile_is_that_of_numpy(values: list[float], share: float):
    expected = float(np.quantile(values, share))
    size = max(map(abs, values))
    assert quantile(np.array(values), share) == pytest.approx(expected, rel=1e-12, abs=1e-15 * size)


@pytest.mark.parametrize("rows", [101, 150, 5000])
def test_kendall_tau_of_a_long_series_compares_means(rows: int):
    assert kendall_tau(np.arange(float(rows))) == 1.0
    assert kendall_tau(-np.arange(float(rows))) == -1.0
    assert kendall_tau(np.ones(rows)) == 0.0


def test_a_slow_rise_shows_in_many_rows_and_noise_in_none():
    rng = np.random.default_rng(0)
    slow = [0.08 * np.linspace(0, 1, 500) + rng.normal(0, 0.08, 500) for _ in range(20)]
    episodes = [(rng.random(3000) < np.linspace(0.05, 0.3, 3000)).astype(float) for _ in range(20)]
    assert min(map(kendall_tau, [*slow, *episodes])) > 0.2
    noise = [rng.normal(size=n) for n in (100, 300, 1000, 3000) for _ in range(100)]
    assert np.mean([kendall_tau(run) > 0.2 for run in noise]) < 0.01


@pytest.mark.parametrize("n", [12, 27, 100, 300])
def test_a_learning_run_has_improved_in_either_mode(n: int):
    scores = rising(n)
    assert improved(scores) is True
    assert improved([-score for score in scores], mode="min") is True
    assert improved(scores, mode="min") is False


@pytest.mark.parametrize("n", [12, 27, 100, 300])
def test_noise_has_not_improved(n: int):
    assert not any(improved(flat(n, seed=seed)) for seed in range(20))


def test_too_few_scores_say_nothing():
    assert improved(rising(7)) is None
    assert improved([math.nan] * 50) is None


@pytest.mark.parametrize(
    ("gain", "noise", "expected"), [(4, 1.2, False), (10, 1.2, True), (4, 0.3, True)]
)
def test_a_gain_below_five_percent_counts_far_beyond_its_noise(gain, noise, expected):
    for seed in range(5):
        scores = np.linspace(100, 100 + gain, 60) + flat(60, 0.0, noise, seed=seed)
        assert improved(scores.tolist()) is expected


def test_the_level_of_a_score_hides_no_gain():
    """It begins at -1,000, and -960 is the best there is."""
    for n in (40, 100, 400):
        course = -960 - 40 * np.exp(-np.arange(n) / (n / 20))
        assert improved((course + flat(n, 0.0, 3.0)).tolist()) is True


def test_a_run_solved_within_its_first_rows_has_improved():
    scores = [0.0, 0.1, *flat(25, 1.0, 0.05)]
    assert improved(scores) is True
    assert improved(scores, episodes=20) is True  # the first rows are skipped, but not forgotten


def test_a_low_start_from_short_episodes_is_no_improvement():
    # A frozen policy on CartPole: 18.7 at first, because short episodes finish first, then 22.7.
    scores = [18.7, 20.5, *flat(60, 22.7, 0.05)]
    assert improved(scores, episodes=20) is False


def test_a_collapsed_run_has_not_improved():
    scores = [*rising(30), *flat(30, 0.0, 0.03)]
    assert improved(scores) is False


def test_bad_arguments_are_refused_with_a_sentence():
    with pytest.raises(InputError, match=r"^budget must be at least 1, but it is 0"):
        History([], 0)
    with pytest.raises(InputError, match=r"^mode must be one of 'min', 'max'"):
        History([], 1, mode="maximise")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^tau must be in \[0, 1\], but it is 2"):
        Improvement(tau=2)


def naive_rise(values: FloatArray, rows: int = 10, deviations: float = 3.0) -> bool:
    for n in range(rows, len(values) + 1):
        last = values[-n:]
        pairs = sum(float(np.sign(b - a)) for i, a in enumerate(last) for b in last[i + 1 :])
        if pairs > deviations * math.sqrt(n * (n - 1) * (2 * n + 5) / 18):
            return True
    return False


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.integers(-3, 9), max_size=24), st.integers(0, 12))
def test_a_rise_is_that_of_any_stretch_of_last_scores(values: list[int], steps: int):
    scores = np.array([*values, *range(steps)], float)
    assert is_rising(scores) == naive_rise(scores)


def test_noise_rarely_rises():
    rng = np.random.default_rng(0)
    runs = [rng.normal(size=60) for _ in range(100)]
    rises = [is_rising(run[:n]) for run in runs for n in range(30, 61)]
    assert np.mean(rises) < 0.02


def test_a_run_rises_while_it_recovers_from_a_dip():
    # Pendulum, PPO with normalised rewards, seed 1: iterations in which episodes finished.
    recovery = [-1472, -1442, -1471, -1487, -1468, -1475, -1456, -1487, -1409, -1391, -1421, -1436]
    recovery += [-1375, -1349, -1368, -1301, -1308]
    run = [-1126.0, -1048.0, -1159.0, -1090.0, -1150.0, -1243.0, -1334.0, -1412.0, *recovery]
    assert history(len(run), score=run).progress.rising
    assert not history(len(run) - 8, score=run[:-8]).progress.rising


def test_rows_without_a_score_do_not_hide_a_rise():
    score = [math.nan if i % 2 else float(i) for i in range(24)]
    assert history(24, score=score).progress.rising
    assert not history(16, score=score[:16]).progress.rising


def test_a_start_that_scatters_more_is_no_low_start():
    # RLlib on CartPole, paid with noise: it learnt to end its episodes soon.
    start = [-2, 0.52, -1.68, 1.03, -2.52, 0.58, -0.5, 0.33, -0.21, -0.67, 0.81, -0.06]
    assert history(30, score=[*start, *flat(18, 0.3, 0.3)], episodes=30).progress.improved is False


def test_learning_within_the_skipped_rows_has_improved():
    # RLlib on CartPole: a row has 20 episodes at first, 3 later.
    score = [21, 25, 35, 62, 85, 69, 112, 156, 132, 149, 201, 249, 253, 218, 283, 169, 136, 186]
    score += [302, 238, 234, 324, 500, 172, 127, 268, 313, 139, 160, 166, 207, 118, 195, 157, 192]
    episodes = [23, 18, 13, 7, 5, 8, 6, *[3] * (len(score) - 7)]
    assert history(len(score), score=score, episodes=episodes).progress.improved is True


def test_rows_without_a_score_are_left_out():
    scores = [score if i % 2 else math.nan for i, score in enumerate(rising(60))]
    assert improved(scores) is True


def test_rows_are_pooled_until_they_hold_enough_episodes():
    scores = np.array([1.0, 3.0, math.nan, 5.0, 2.0, 9.0])
    episodes = np.array([10.0, 10.0, 0.0, 40.0, 5.0, 10.0])
    rows, means, counts = pool_scores(scores, episodes, 20)
    assert rows.tolist() == [1, 3]  # the last fifteen episodes are no pool yet
    assert means.tolist() == [2.0, 5.0] and counts.tolist() == [20.0, 40.0]
    for part in pool_scores(scores, np.zeros(6), 20):
        assert part.size == 0


@pytest.mark.parametrize("scores", [rising(40), flat(40), [1.0, -1.0] * 20])
def test_scores_near_the_end_of_the_float_range(scores: list[float]):
    large = [score * 2.0**1000 for score in scores]
    assert improved(large) is improved(scores)
    assert improved([1e305 * (-1) ** i for i in range(40)]) is False


def test_a_norm_does_not_overflow():
    assert root_sum_of_squares(np.array([3e300, -4e300])) == pytest.approx(5e300)
    assert root_sum_of_squares(np.array([3.0, -4.0])) == 5.0
    assert root_sum_of_squares(np.array([])) == 0.0
    assert math.isinf(root_sum_of_squares(np.array([math.inf, 1.0])))
