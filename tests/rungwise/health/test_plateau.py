"""A plateau is one though a score is lucky, and slow progress is none though its scores scatter."""

import math

import numpy as np
import pytest

from rungwise.health.plateau import Stagnation, has_reached_plateau, measure_stagnation
from tune_jobs.jobs.job_yaml import list_presets, load_job

PATIENCE = 20


def ended(scores: np.ndarray, patience: int = PATIENCE, every: int = 1) -> int | None:
    """The iteration in which a run with these scores, one every so many iterations, ends."""
    iterations = every * np.arange(1.0, len(scores) + 1)
    for rows in range(1, len(scores) + 1):
        if has_reached_plateau(scores[:rows], iterations[:rows], patience, min_delta=0.01):
            return every * rows
    return None


def test_two_means_are_compared_as_worked_out_by_hand():
    # A patience of 8 holds two means of 4. Of the jumps 2 -3 2 -3 4 -3 1 the median is 1, the
    # median distance from it 3: their scatter is 1.4826 * 3, and twice the error of a gain in a
    # mean of 4 is the same, 4.45. The best mean is that of 11 13 10 12: 11.5.
    lately = [11.0, 13, 10, 12, 9, 13, 10, 11]
    assert ended(np.array([7.1] * 4 + lately), 8) == 12  # 4.4 better
    assert ended(np.array([7.0] * 4 + lately), 8) is None  # 4.5 better


def test_scores_that_tend_upwards_are_no_plateau_yet():
    dip = np.array([13.2] * 4 + [9.0, 10, 10, 11, 11, 12, 13, 13])  # the last four: 12.25
    assert ended(dip, 8) is None
    dip[-8:] = dip[:-9:-1]
    assert ended(dip, 8) == 12


def test_luck_puts_off_the_end_of_few_plateaus():
    """Ten iterations up, then flat: half a patience after that the best mean is a plateau's."""
    rng = np.random.default_rng(0)
    curve = np.append(np.arange(10.0), np.full(90, 10.0))
    ends = [ended(curve + rng.normal(size=100)) or math.inf for _ in range(200)]
    assert np.median(ends) <= 10 + PATIENCE + PATIENCE / 2
    assert np.quantile(ends, 0.9) <= 10 + 2 * PATIENCE


def test_one_lucky_score_does_not_put_it_off():
    scores = 10 + np.random.default_rng(1).normal(size=60)
    end = ended(scores)
    assert end is not None
    scores[end - 5] = scores.max() + 0.2  # the best of all, by 1 to 2 %
    assert ended(scores) == end


def test_rare_scores_that_rise_are_no_plateau_after_a_lucky_one():
    # Episodes of five iterations each: a patience holds four scores.
    scores = np.concatenate([np.full(10, 1.0), np.linspace(1.0, 2.0, 12)])
    scores[11] = 3.0
    assert not has_reached_plateau(scores, 5 * np.arange(1.0, 23), PATIENCE, min_delta=0.01)
    assert has_reached_plateau(scores[::-1], 5 * np.arange(1.0, 23), PATIENCE, min_delta=0.01)


def test_a_run_that_gets_slowly_better_goes_on():
    """By three times the scatter of a score in a patience, from far below it to far above."""
    rng = np.random.default_rng(2)
    curve = 3 * np.arange(200) / PATIENCE
    assert sum(ended(curve + rng.normal(size=200)) is not None for _ in range(50)) == 0


def test_a_few_scores_each_stand_for_themselves():
    held_out = np.array([0.5, 0.7, 0.8, 0.805, 0.79, 0.8])
    assert ended(held_out, 60, every=20) == 120  # the best is that of iteration 60, by 1 %
    assert ended(held_out[:5], 60, every=20) is None


def test_scores_that_are_missing_count_for_nothing():
    scores = np.array([1.0, 2, 3, 3, 3, 3, 3])
    gaps = np.full(14, np.nan)
    gaps[1::2] = scores
    assert ended(gaps, 8) == 2 * ended(scores, 4)  # type: ignore[operator]
    assert ended(np.full(30, np.nan)) is None


def test_a_climb_before_the_plateau_is_no_rise_now():
    # Log-probabilities on held-out passages: learnt by iteration 50, then noise.
    climb = -np.geomspace(0.6, 0.02, 10)
    noise = np.random.default_rng(0).uniform(-0.03, -0.02, 11)
    assert ended(np.concatenate([climb, noise]), 25, every=5) == 75


@pytest.mark.parametrize("name", list_presets())
def test_the_patience_of_a_preset_fits_its_budget(name: str):
    job = load_job(name)
    if not job.patience:
        return
    every = job.held_out_interval or 1
    iterations = np.array([1, *range(every, job.iterations + 1, every)][every == 1 :], float)
    flat = np.full(iterations.size, -0.5)
    ends = (
        iterations[i - 1]
        for i in range(1, iterations.size + 1)
        if has_reached_plateau(flat[:i], iterations[:i], job.patience, job.min_delta)
    )
    assert next(ends, math.inf) <= 0.75 * job.iterations


def test_a_lucky_score_before_a_dip_ends_no_thoughts_run():
    # Held-out log-probabilities of seed 2, whose accuracy reaches 1.000 later.
    dip = [0.744, 0.116, 0.114, 0.367, 0.183, 0.328, 0.213, 0.126]
    later = [0.103, 0.031, 0.038, 0.020, 0.019, 0.019, 0.019, 0.019, 0.020, 0.020, 0.019, 0.019]
    scores = -np.array(dip + later)
    iterations = np.array([1.0, *range(5, 5 * scores.size, 5)])
    job = load_job("thoughts")
    for rows in range(1, scores.size + 1):
        part = scores[:rows], iterations[:rows]
        assert not has_reached_plateau(*part, job.patience, job.min_delta)


def stagnation(scores: list[float], patience: int = 4, every: int = 1):
    iterations = every * np.arange(1.0, len(scores) + 1)
    return measure_stagnation(np.array(scores), iterations, patience, min_delta=0.01)


def test_stagnation_counts_from_the_best_score():
    assert stagnation([1.0]) is None
    found = stagnation([1.0, 2.0, 3.0, 3.02, 2.9])
    # 3.02 is less than 1 % better than 3.
    assert found == Stagnation(iterations=2, best=3.0, best_at=3, latest=2.9, averaged=1)
    found = stagnation([1.0, 2.0, 3.0, 3.02, 2.9, 3.5])
    assert found == Stagnation(iterations=0, best=3.5, best_at=6, latest=3.5, averaged=1)


def test_stagnation_is_counted_in_iterations_and_not_in_scores():
    found = stagnation([0.5, 0.8, 0.7, 0.75], patience=60, every=20)
    assert found is not None and (found.iterations, found.best_at) == (40, 40)


def test_a_negative_best_counts_like_a_positive_one():
    found = stagnation([-3.0, -2.0, -2.01, -1.99])
    assert found is not None and (found.iterations, found.best) == (2, -2.0)


def test_the_count_reaches_the_patience_where_the_run_ends():
    rng = np.random.default_rng(4)
    curve = np.append(np.arange(10.0), np.full(90, 10.0)) + rng.normal(size=100)
    end = ended(curve)
    assert end is not None
    found = stagnation(list(curve[:end]), PATIENCE)
    assert found is not None and found.iterations >= PATIENCE
    assert found.averaged == PATIENCE // 2
