"""The rule that ends a run which has learnt nothing, where its cases need rows of their own."""

import numpy as np
import pytest
from health_runs import flat, history
from rule_checks import assert_starts_at

from rungwise.health import RULES, History
from rungwise.health.rules.no_improvement import NoImprovement


def test_no_improvement_waits_for_thirty_rows_and_two_fifths_of_the_budget():
    assert_starts_at("no_improvement", 30, 70, score=1.0)
    assert_starts_at("no_improvement", 40, 100, score=1.0)


def test_a_trend_equal_to_the_threshold_does_not_excuse():
    runs = history(30, score=[1.0, 1.2, *([1.1] * 28)])
    assert NoImprovement(tau=runs.progress.trend)(runs)
    assert NoImprovement(tau=runs.progress.trend - 1e-9)(runs) is None


def test_episodes_that_are_better_than_the_first_ones_are_a_gain():
    """A crane that had learnt within a tenth of its run, and scatters by as much since then."""
    score = [-2.0, *(1.5 * (-1) ** i for i in range(29))]
    for std, is_silent in ((2.0, True), (8.0, False), (None, False)):
        rows = [{"episodes": 20, "return_std": std, "return_mean": value} for value in score]
        found = RULES["no_improvement"](History(rows, 30, "return_mean"))
        assert (found is None) == is_silent
        # What it costs and not what it pays.
        costs = [{**row, "cost": -value} for row, value in zip(rows, score, strict=True)]
        assert RULES["no_improvement"](History(costs, 30, "cost", "min")) is not None


def test_without_the_spread_of_episodes_no_gain_is_a_note_until_the_end():
    """Of 242 published healthy runs that were warned at once 49 rose afterwards."""
    flat_run = [{"return_mean": 1.0 + 0.1 * (-1) ** i, "episodes": 20} for i in range(60)]
    spread = [row | {"return_std": 0.5} for row in flat_run]
    rule = RULES["no_improvement"]
    for rows, has_ended, severity in (
        (flat_run, False, "note"),
        (flat_run, True, "warn"),
        (spread, False, "warn"),
    ):
        found = rule(History(rows, 100, "return_mean", has_ended=has_ended))
        assert found and found.severity == severity


def test_a_gain_that_has_been_lost_is_none():
    """Shuffled advantages led CartPole from 20 to 40, and then to 14."""
    for end, is_silent in ((14.0, False), (24.0, True)):
        score = [20.0, *(30.0 + 12 * (-1) ** i for i in range(53)), *[end] * 6]
        rows = [{"episodes": 20, "return_std": 12.0, "return_mean": value} for value in score]
        found = RULES["no_improvement"](History(rows, len(rows), "return_mean"))
        assert (found is None) == is_silent


def test_a_gain_that_has_been_lost_ends_no_run():
    """What has been better may recover: no stop, even where the score has been low for long."""
    score = [20.0, *(30.0 + 12 * (-1) ** i for i in range(30)), *[14.0] * 29]
    for std in (3.0, 40.0):
        rows = [{"episodes": 20, "return_std": std, "return_mean": value} for value in score]
        found = RULES["no_improvement"](History(rows, 60, "return_mean"))
        assert found and found.severity == "warn"


@pytest.mark.parametrize("noise", [12.0, 30.0, 60.0])
@pytest.mark.parametrize("shape", ["line", "step", "saturating"])
def test_a_run_that_improves_under_noise_is_never_ended(shape: str, noise: float):
    t = np.arange(100) / 100
    gain = {"line": t, "step": t > 0.6, "saturating": 1 - np.exp(-t / 0.2)}[shape]
    for seed in range(20):
        scores = 100.0 + 60.0 * gain + flat(100, 0.0, noise, seed=seed)
        for n in range(80, 101, 5):
            found = RULES["no_improvement"](history(n, 100, score=scores[:n].tolist()))
            assert found is None or found.severity != "stop"


def test_noise_is_ended_where_its_trend_leaves_no_hope():
    ended = 0
    for seed in range(20):
        scores = flat(200, 100.0, 30.0, seed=seed)
        found = [
            RULES["no_improvement"](history(n, 200, score=scores[:n])) for n in range(160, 200, 4)
        ]
        ended += any(f is not None and f.severity == "stop" for f in found)
    assert 1 <= ended <= 10
