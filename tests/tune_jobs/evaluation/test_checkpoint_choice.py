# pyright: basic
"""Which checkpoint of a trial is its result."""

import math

import numpy as np
import pytest

from tune_jobs.evaluation.checkpoint_choice import CheckpointChoice


def choose(
    values, interval=5, metric="return_mean", mode="max", std=5.0, episodes=20, min_delta=0.01
):
    """Return the iteration of the result after each checkpoint of a run with these values."""
    choice, results, kept = CheckpointChoice(metric, mode, min_delta), [], None
    for iteration, value in enumerate(values, 1):
        metrics = {} if value is None else {metric: value, "episodes": episodes, "return_std": std}
        if value is not None and math.isnan(value):
            metrics = {"nonfinite": 1}
        choice.add_result(iteration, metrics)
        if iteration % interval == 0:
            rating = choice.rate_previous(iteration)
            if rating and choice.is_good_enough(rating):
                kept = choice.newest
            choice.set_newest(iteration, "")
            good = choice.is_good_enough(choice.rate_newest(iteration))
            results.append(iteration if good or kept is None else kept[0])
    return results


RISE = [*np.linspace(20, 480, 25), *[500.0] * 10]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_fall_at_the_end_leaves_the_checkpoint_before_it(sign):
    values = [*RISE, *np.linspace(480, 250, 10)]
    mode = "max" if sign == 1 else "min"
    results = choose([sign * value for value in values], mode=mode)
    assert results == [5, 10, 15, 20, 25, 30, 35, 30, 30]


def test_the_checkpoint_just_before_a_collapse_is_not_the_result():
    # The scores up to iteration 35 are the best there are, and its last update broke the policy.
    assert choose([*RISE, *[30.0] * 5])[-1] == 30


def test_a_run_that_recovers_ends_with_its_last_checkpoint():
    results = choose([*RISE, *[200.0] * 10, *[500.0] * 10])
    assert (results[8], results[-1]) == (30, 55)


def test_noise_around_a_plateau_leaves_the_newest_checkpoint():
    noise = np.random.default_rng(0)
    newest = 0
    for _ in range(50):
        values = [*RISE[:25], *(480 + noise.normal(0, 60 / 20**0.5, 35))]
        newest += choose(values, std=60.0)[-1] == 60
    assert newest >= 40


def test_a_difference_that_does_not_count_leaves_the_newest():
    values = [*RISE, *[499.0] * 10]
    assert choose(values, std=0.0)[-1] == 45
    assert choose(values, std=0.0, min_delta=0.001)[-1] == 30


def test_a_diverged_policy_is_no_result():
    assert choose([*RISE, *[math.nan] * 5])[-1] == 35


def test_without_any_measurement_the_newest_is_the_result():
    assert choose([None] * 15) == [5, 10, 15]


def test_held_out_scores_belong_to_the_policy_of_their_iteration():
    values: list[float | None] = [None] * 40
    values[9], values[19], values[29], values[39] = 1.0, 9.0, 5.0, 4.0
    assert choose(values, metric="held_out_return_mean")[-1] == 20


def test_iterations_that_a_restart_repeats_replace_the_earlier_ones():
    choice = CheckpointChoice("return_mean", "max", 0.01)
    choice.set_newest(1, "")
    for iteration, value in [(2, 900.0), (3, 900.0), (2, 10.0), (3, 10.0)]:
        choice.add_result(iteration, {"return_mean": value, "episodes": 50})
    rating = choice.rate_previous(3)
    assert rating and rating.mean == 10.0


def test_few_episodes_are_rated_together_with_those_before():
    choice = CheckpointChoice("return_mean", "max", 0.01)
    for iteration in range(1, 11):
        choice.add_result(iteration, {"return_mean": float(iteration), "episodes": 4})
    rating = choice.rate_newest(10)
    assert rating and rating.mean == 8.0  # 20 episodes: the last five iterations
