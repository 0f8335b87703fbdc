"""The rules about the course of a run: a clip that stops it, a lottery, a fall; and targets."""

import math
from typing import Any, ClassVar

import numpy as np
import pytest
from health_runs import Curve, Metrics, flat, from_row, history, rising, seen

from tune_jobs.health import History
from tune_jobs.health.rules.choice_concentration import ChoiceConcentration
from tune_jobs.health.rules.clip_range_too_small import ClipRangeTooSmall
from tune_jobs.health.rules.entropy_stuck_at_max import EntropyStuckAtMax
from tune_jobs.health.rules.low_explained_variance import LowExplainedVariance
from tune_jobs.health.rules.performance_collapse import PerformanceCollapse
from tune_jobs.health.rules.value_divergence import ValueDivergence

NAN = math.nan


class TestClipRangeTooSmall:
    rule = ClipRangeTooSmall()
    sick: ClassVar[Metrics] = {"clip_fraction": 0.99, "kl": 3e-8}

    def test_a_clip_that_cuts_everything_off_is_found_with_its_beginning(self):
        assert seen(self.rule, 27, score=flat(27), **self.sick) == ("stop", 1)
        late: Metrics = {"clip_fraction": from_row(9, 0.99, 0.1), "kl": from_row(9, 3e-8, 0.01)}
        assert seen(self.rule, 27, score=flat(27), **late) == ("stop", 9)

    @pytest.mark.parametrize("change", [{"clip_fraction": 0.38}, {"kl": 0.01}])
    def test_much_clipping_of_large_steps_and_small_steps_alone_are_healthy(self, change: Metrics):
        assert seen(self.rule, 27, score=flat(27), **{**self.sick, **change}) is None

    def test_a_run_that_learns_is_healthy(self):
        assert seen(self.rule, 60, score=rising(60), **self.sick) is None

    def test_few_rows_and_rows_without_a_number_say_nothing(self):
        assert seen(self.rule, 7, 81, score=flat(7), **self.sick) is None
        assert seen(self.rule, 27, score=flat(27), **{**self.sick, "kl": NAN}) is None


class TestEntropyStuckAtMax:
    rule = EntropyStuckAtMax()
    moves: ClassVar[Metrics] = {"entropy": 1.3, "kl": 1e-4, "clip_fraction": 0.0}
    sick: ClassVar[Metrics] = {**moves, "entropy_normalised": 0.995}

    def test_a_lottery_is_warned_about(self):
        assert seen(self.rule, 27, 81, score=flat(27), **self.sick) == ("warn", 1)
        assert seen(self.rule, 60, score=flat(60), **self.sick) == ("warn", 1)

    def test_an_entropy_that_falls_is_healthy_before_the_score_rises(self):
        falls: Metrics = {**self.moves, "entropy_normalised": lambda i: 1 - 0.003 * i}
        for n in range(1, 28):
            assert seen(self.rule, n, 60, score=flat(n), **falls) is None

    def test_a_run_that_learns_or_begins_to_is_healthy(self):
        assert seen(self.rule, 60, score=rising(60), **self.sick) is None
        begins = (0.01 * np.arange(20) + flat(20, noise=0.1)).tolist()
        assert seen(self.rule, 20, 60, score=begins, **self.sick) is None

    def test_a_policy_that_stands_still_is_called_frozen_instead(self):
        frozen: Metrics = {**self.sick, "kl": 1e-9}
        assert seen(self.rule, 27, score=flat(27), **frozen) is None

    def test_little_budget_few_rows_and_rows_without_the_entropy_say_nothing(self):
        assert seen(self.rule, 15, 100, score=flat(15), **self.sick) is None
        assert seen(self.rule, 11, 40, score=flat(11), **self.sick) is None
        unknown: Metrics = {**self.sick, "entropy_normalised": from_row(28, 0.995, NAN)}
        assert seen(self.rule, 30, score=flat(30), **unknown) is None


class TestPerformanceCollapse:
    rule = PerformanceCollapse()

    def test_a_score_far_below_its_start_is_warned_about_early(self):
        fallen = [20.0, 19.5, 16.0, 13.0, *flat(40, 9.0, 0.2)]
        assert seen(self.rule, 9, 60, score=fallen) is None
        assert seen(self.rule, 10, 60, score=fallen) == ("warn", 5)

    def test_a_gain_that_is_lost_is_warned_about_with_both_scores(self):
        score = [*rising(30, 20, 200, 3), *flat(30, 25.0, 3.0)]
        finding = self.rule(history(40, 60, score=score))
        assert finding
        assert (finding.severity, finding.since) == ("warn", 31)
        assert finding.evidence.startswith("score went from 201")
        assert finding.evidence.endswith(
            "at its best to 24.7 and has stayed there for 10 iterations"
        )

    def test_a_cost_that_falls_is_a_gain(self):
        cost = [-s for s in rising(60, -50, -10)]
        rows = [{"score": c} for c in cost]
        assert self.rule(History(rows, 60, mode="min")) is None
        rows = [{"score": c} for c in reversed(cost)]
        finding = self.rule(History(rows, 60, mode="min"))
        assert finding
        assert "went from 10" in finding.evidence
        assert "at its start to 4" in finding.evidence

    def test_a_dip_of_most_of_the_gain_that_recovers_is_healthy(self):
        dip = [*rising(30, 60, 230, 3), *flat(5, 70.0, 3.0), *flat(25, 208.0, 3.0)]
        for n in range(1, 61):
            assert seen(self.rule, n, score=dip[:n], budget=60) is None

    def test_half_of_the_gain_kept_and_noise_around_the_start_are_healthy(self):
        half = [*rising(30, 20, 200, 3), *flat(30, 110.0, 10.0)]
        assert seen(self.rule, 60, score=half) is None
        for seed in range(20):
            score = flat(60, 20.0, 6.0, seed)
            for n in range(1, 61):
                assert seen(self.rule, n, 60, score=score) is None

    def test_few_rows_and_no_scores_say_nothing(self):
        assert seen(self.rule, 5, 60, score=[20.0, 20.0, 1.0, 1.0, 1.0]) is None
        assert seen(self.rule, 30, score=NAN) is None


class TestTargetsThatNoReturnExplains:
    rule = ValueDivergence()
    ends: ClassVar[Metrics] = {
        "value_loss": lambda i: 10.0 * i,
        "value_abs_max": 20.0,
        "reward_abs_max": 1.0,
        "episode_length": 20.0,
        "running_length_max": 60.0,
        "truncated_fraction": 0.0,
    }
    sick: ClassVar[Metrics] = {**ends, "target_abs_max": lambda i: 30.0 * i}

    def test_they_are_found_while_values_still_lag_behind(self):
        finding = self.rule(history(27, score=flat(27), **self.sick))
        assert finding
        assert (finding.severity, finding.since) == ("stop", 5)
        assert "times the largest possible return and grow" in finding.evidence

    @pytest.mark.parametrize(
        "change",
        [
            {"target_abs_max": 61.0},
            {"target_abs_max": 600.0},
            {"truncated_fraction": 0.3},
            {"return_max": 900.0},
            {"reward_abs_max": NAN},
        ],
        ids=["possible", "constant", "cut off", "earned", "unknown"],
    )
    def test_what_can_be_explained_is_healthy(self, change: Metrics):
        assert seen(self.rule, 27, score=flat(27), **{**self.sick, **change}) is None

    def test_a_run_that_learns_is_healthy(self):
        assert seen(self.rule, 60, score=rising(60), **self.sick) is None


def tending(n: int) -> Curve:
    """Rises slowly, and less than its noise."""
    return (0.03 * np.arange(n) + flat(n, 1.0, 0.12)).tolist()


def test_a_score_on_its_way_makes_a_warning_a_note_or_nothing():
    concentrated: dict[str, Any] = {"choice_fraction_max": 0.87, "env_steps": 9999.0}
    concentrated["choice_fractions"] = lambda i: [0.87, 0.04, 0.03, 0.03, 0.03]
    unexplained: Metrics = {"explained_variance": 0.0, "value_loss": 1.0}
    for rule, metrics, found in (
        (ChoiceConcentration(), concentrated, "note"),
        (LowExplainedVariance(), unexplained, None),
    ):
        way = history(15, 60, score=tending(15), **metrics)
        assert way.improved is False
        finding = rule(way)
        assert (finding and finding.severity) == found
        assert seen(rule, 15, 60, score=flat(15), **metrics) is not None


def test_a_few_scores_all_above_the_first_make_a_concentration_a_note():
    metrics: dict[str, Any] = {"choice_fraction_max": 0.87, "env_steps": 9999.0}
    metrics["choice_fractions"] = lambda i: [0.87, 0.04, 0.03, 0.03, 0.03]
    score = [3.26, 4.15, 4.36, 4.34, 3.68, 4.07, 3.8, 3.85]
    assert seen(ChoiceConcentration(), 8, 40, score=score, **metrics) == ("note", 1)
    stuck = [3.8, 4.15, 4.36, 4.34, 3.68, 4.07, 3.8, 3.85]
    assert seen(ChoiceConcentration(), 8, 40, score=stuck, **metrics) == ("warn", 1)
