# pyright: basic, reportArgumentType=false, reportOptionalOperand=false
"""The standard error of the score that ranks a trial."""

import math

import numpy as np
import pytest

from rungwise.run_log.score_noise import NoiseSource, TrialCurve

RETURNS = NoiseSource("return_mean")


@pytest.mark.parametrize(
    ("source", "metrics", "sample"),
    [
        (RETURNS, {"return_mean": 2.0, "return_std": 3.0, "episodes": 5}, (5, 2.0, 9.0, 0.0)),
        (NoiseSource("success_rate"), {"success_rate": 0.2, "episodes": 5}, (5, 0.2, 0.16, 0.0)),
        (
            NoiseSource("return_mean", seeds=4),
            {"return_mean": 2.0, "return_std": 3.0, "episodes": 5, "score_spread": 1.0},
            (5, 2.0, 9.0, 0.5),
        ),
        (RETURNS, {"return_mean": 2.0, "episodes": 5}, None),
        (RETURNS, {"return_mean": 2.0, "return_std": math.nan, "episodes": 5}, None),
        (RETURNS, {"return_std": 3.0, "episodes": 0}, None),
        (RETURNS, {"return_mean": 2.0, "return_std": 1e300, "episodes": 5}, None),
        (NoiseSource("held_out_return_mean"), {"held_out_return_mean": 2, "episodes": 5}, None),
        (RETURNS, {}, None),
    ],
)
def test_a_row_says_how_noisy_its_score_is(source, metrics, sample):
    found = source.read(metrics)
    assert found == (None if sample is None else pytest.approx(sample))


def make_curve(parts):
    curve = TrialCurve()
    for at, values in enumerate(parts, 1):
        curve.add(at, float(np.mean(values)), describe(values), RETURNS)
    return curve


def describe(episodes):
    mean, std = float(np.mean(episodes)), float(np.std(episodes))
    return {"return_mean": mean, "return_std": std, "episodes": len(episodes)}


def test_the_later_half_of_the_episodes_is_one_sample():
    rng = np.random.default_rng(0)
    parts = [rng.normal(at, 3.0, 60) for at in range(6)]
    later = np.concatenate(parts[3:])
    expected = later.std(ddof=1) / math.sqrt(later.size)
    assert make_curve(parts).average()[1] == pytest.approx(expected)
    last = parts[-1].std(ddof=1) / math.sqrt(60)  # and 60 more, as far as 100 are pooled
    assert make_curve(parts).estimate_standard_error(6) < last


def test_episodes_of_earlier_iterations_count_as_far_as_the_score_pools_them():
    rng = np.random.default_rng(0)
    parts = [rng.normal(0, 3.0, 30) for _ in range(6)]
    pooled = np.concatenate(parts[2:])  # three of the later half are only 90
    expected = pooled.std(ddof=1) / math.sqrt(pooled.size)
    assert make_curve(parts).average()[1] == pytest.approx(expected)


def test_single_episodes_of_many_iterations_show_their_spread():
    parts = [[value] for value in (1.0, 5.0, 2.0, 8.0)]
    expected = np.std([1, 5, 2, 8], ddof=1) / 2
    assert make_curve(parts).average()[1] == pytest.approx(expected)
    assert make_curve(parts[:1]).average()[1] is None


def test_a_restarted_trial_repeats_its_iterations():
    parts = [[1.0, 3.0], [2.0, 6.0], [0.0, 4.0]]
    curve = make_curve(parts)
    for at, values in enumerate(parts[1:], 2):
        curve.add(at, None, describe(values), RETURNS)
    again = make_curve(parts)
    assert curve.samples == again.samples
    assert [at for at, _ in curve.scores] == [1], "the others measured none this time"


def test_seeds_that_disagree_are_noise():
    curve = make_curve([[1.0, 3.0] * 40])
    small = curve.average()[1]
    spread = describe([1.0, 3.0] * 40) | {"score_spread": 1.0}
    curve.add(1, 2.0, spread, NoiseSource("return_mean", seeds=4))
    assert small < 0.2 and curve.average()[1] == 0.5
