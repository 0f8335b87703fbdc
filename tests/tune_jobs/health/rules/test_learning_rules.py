"""The rules about what the learner measures: signal, gradients, parameters and values."""

import math
from typing import Any, ClassVar

import numpy as np
import pytest
from health_runs import Metrics, flat, from_row, history, rising, seen

from tune_jobs.health import Rule
from tune_jobs.health.rules.advantage_clipping import AdvantageClipping
from tune_jobs.health.rules.dead_units import DeadUnits
from tune_jobs.health.rules.entropy_without_gradient import EntropyWithoutGradient
from tune_jobs.health.rules.groups_without_signal import GroupsWithoutSignal
from tune_jobs.health.rules.no_exploration import NoExploration
from tune_jobs.health.rules.policy_without_gradient import PolicyWithoutGradient
from tune_jobs.health.rules.reward_scale import RewardScale
from tune_jobs.health.rules.update_ratio import UpdateRatio
from tune_jobs.health.rules.v_star_optimistic import VStarOptimistic
from tune_jobs.health.rules.v_star_pessimistic import VStarPessimistic
from tune_jobs.health.rules.value_divergence import ValueDivergence
from tune_jobs.health.rules.value_without_gradient import ValueWithoutGradient

NAN = math.nan


class TestGroupsWithoutSignal:
    rule = GroupsWithoutSignal()

    @pytest.mark.parametrize(
        ("signal", "severity"), [(0.3, None), (0.2, "note"), (0.05, "warn"), (0.0, "stop")]
    )
    def test_severity_follows_the_share(self, signal: float, severity: str | None):
        found = seen(self.rule, 27, score=flat(27), group_signal=from_row(9, signal, 0.9))
        assert found == (severity and (severity, 9))

    def test_a_solved_task_has_no_signal_and_is_healthy(self):
        assert seen(self.rule, 60, score=rising(60), group_signal=from_row(30, 0.0, 0.8)) is None

    def test_the_first_rows_are_too_early(self):
        assert seen(self.rule, 9, 200, score=flat(9), group_signal=0.0) is None

    def test_rows_without_the_share_are_left_out(self):
        assert seen(self.rule, 27, score=flat(27), group_signal=NAN) is None


class TestVStarOptimistic:
    rule = VStarOptimistic()
    negative: ClassVar[Metrics] = {"advantage_negative_fraction": 1.0, "advantage_mean": -0.8}

    def test_advantages_all_negative_are_warned_about_with_what_v_star_says(self):
        metrics: Metrics = {**self.negative, "return_mean": 0.1, "advantage_std": 0.05}
        finding = self.rule(history(27, score=flat(27), **metrics))
        assert finding
        assert (finding.severity, finding.since) == ("warn", 1)
        assert "by 0.8 on average (returns 0.1, V* 0.9), 16 times the" in finding.evidence

    def test_a_run_below_the_best_of_its_reference_that_learns_is_healthy(self):
        metrics: Metrics = {
            "advantage_negative_fraction": lambda i: max(0.3, 1 - 0.05 * i),
            "advantage_mean": lambda i: -0.5 + 0.02 * i,
        }
        assert seen(self.rule, 27, score=flat(27), **metrics) is None
        assert seen(self.rule, 27, score=rising(27), **self.negative) is None

    def test_little_budget_is_too_early(self):
        assert seen(self.rule, 15, 100, score=flat(15), **self.negative) is None

    def test_rows_without_a_number_are_left_out(self):
        metrics: Metrics = {**self.negative, "advantage_negative_fraction": NAN}
        assert seen(self.rule, 27, score=flat(27), **metrics) is None


class TestVStarPessimistic:
    rule = VStarPessimistic()
    positive: ClassVar[Metrics] = {
        "advantage_negative_fraction": 0.0,
        "advantage_mean": 0.4,
        "advantage_std": 0.2,
    }

    def test_advantages_all_positive_are_warned_about(self):
        finding = self.rule(history(27, score=flat(27), **self.positive))
        assert finding
        assert (finding.severity, finding.since) == ("warn", 1)
        assert "beat V* (the last by 0.4 on average)" in finding.evidence

    def test_advantages_next_to_zero_are_warned_about(self):
        zero: Metrics = {"advantage_mean": 1e-4, "advantage_std": 1e-3}
        metrics: Metrics = {**zero, "advantage_negative_fraction": 0.5}
        assert seen(self.rule, 27, score=flat(27), **metrics) == ("warn", 1)

    def test_a_policy_that_became_better_than_its_reference_is_healthy(self):
        assert seen(self.rule, 27, score=rising(27), **self.positive) is None

    def test_both_signs_are_healthy(self):
        metrics: Metrics = {**self.positive, "advantage_negative_fraction": 0.3}
        assert seen(self.rule, 27, score=flat(27), **metrics) is None

    def test_little_budget_is_too_early(self):
        assert seen(self.rule, 15, 100, score=flat(15), **self.positive) is None


class TestAdvantageClipping:
    rule = AdvantageClipping()

    def test_most_cut_off_is_warned_about_and_noted_in_a_run_that_learns(self):
        share: Metrics = {"advantage_clip_fraction": from_row(7, 0.7, 0.1)}
        assert seen(self.rule, 27, score=flat(27), **share) == ("warn", 7)
        assert seen(self.rule, 27, score=rising(27), **share) == ("note", 7)

    def test_a_few_outliers_are_healthy(self):
        assert seen(self.rule, 27, score=flat(27), advantage_clip_fraction=0.04) is None

    def test_the_first_rows_are_too_early(self):
        assert seen(self.rule, 3, 27, score=flat(3), advantage_clip_fraction=0.9) is None


class TestEntropyWithoutGradient:
    rule = EntropyWithoutGradient()
    dead: ClassVar[Metrics] = {"grad_norm_entropy": 0.0, "entropy_coef": 0.01, "entropy": 1.2}

    def test_a_gradient_of_exactly_zero_is_found_early(self):
        assert seen(self.rule, 5, 81, score=flat(5), **self.dead) == ("warn", 1)

    def test_a_run_that_learns_all_the_same_is_noted(self):
        assert seen(self.rule, 60, score=rising(60), **self.dead) == ("note", 1)

    @pytest.mark.parametrize("change", [{"grad_norm_entropy": 1e-9}, {"entropy_coef": 0.0}])
    def test_a_small_gradient_or_no_coefficient_is_healthy(self, change: Metrics):
        assert seen(self.rule, 30, score=flat(30), **{**self.dead, **change}) is None

    @pytest.mark.parametrize("normalised", [0.0, 1.0])
    def test_a_certain_or_uniform_policy_has_no_such_gradient_by_right(self, normalised: float):
        metrics: Metrics = {**self.dead, "entropy_normalised": normalised}
        assert seen(self.rule, 30, score=flat(30), **metrics) is None
        metrics = {**self.dead, "entropy": 0.0}
        assert seen(self.rule, 30, score=flat(30), **metrics) is None

    def test_few_rows_and_rows_without_a_number_say_nothing(self):
        assert seen(self.rule, 4, 27, score=flat(4), **self.dead) is None
        metrics: Metrics = {**self.dead, "grad_norm_entropy": NAN}
        assert seen(self.rule, 30, score=flat(30), **metrics) is None


class TestValueWithoutGradient:
    rule = ValueWithoutGradient()
    dead: ClassVar[Metrics] = {"grad_norm_value": 0.0, "value_loss": 2.0}

    def test_an_error_without_a_gradient_is_found_early(self):
        assert seen(self.rule, 5, 81, score=flat(5), **self.dead) == ("warn", 1)
        assert seen(self.rule, 60, score=rising(60), **self.dead) == ("note", 1)

    def test_without_an_error_there_is_nothing_to_learn(self):
        assert seen(self.rule, 30, score=flat(30), **{**self.dead, "value_loss": 0.0}) is None

    def test_a_small_gradient_is_healthy_and_few_rows_are_too_early(self):
        assert seen(self.rule, 30, score=flat(30), **{**self.dead, "grad_norm_value": 1e-9}) is None
        assert seen(self.rule, 4, 27, score=flat(4), **self.dead) is None


class TestPolicyWithoutGradient:
    rule = PolicyWithoutGradient()
    dead: ClassVar[Metrics] = {"grad_norm_policy": 0.0, "advantage_std": 1.0}

    def test_it_is_warned_about_early_and_asks_for_a_stop_when_nothing_was_learnt(self):
        unjudged: Metrics = {"score": lambda i: 1.0 if i > 3 else None}
        assert seen(self.rule, 9, 81, **unjudged, **self.dead) == ("warn", 1)
        assert seen(self.rule, 30, score=flat(30), **self.dead) == ("stop", 1)

    def test_a_certain_policy_that_has_learnt_is_healthy(self):
        metrics: Metrics = {**self.dead, "grad_norm_policy": from_row(30, 0.0, 0.2)}
        assert seen(self.rule, 60, score=rising(60), **metrics) is None

    def test_without_differing_advantages_there_is_nothing_to_learn(self):
        assert seen(self.rule, 30, score=flat(30), **{**self.dead, "advantage_std": 0.0}) is None

    def test_a_single_measurement_is_too_early(self):
        assert seen(self.rule, 8, 27, score=flat(8), **self.dead) is None
        metrics: Metrics = {**self.dead, "grad_norm_policy": lambda i: 0.1 if i == 26 else 0.0}
        assert seen(self.rule, 30, score=flat(30), **metrics) is None


class TestDeadUnits:
    rule = DeadUnits()

    @pytest.mark.parametrize(("share", "severity"), [(0.4, None), (0.7, "warn"), (1.0, "stop")])
    def test_severity_follows_the_share(self, share: float, severity: str | None):
        found = seen(self.rule, 27, score=flat(27), dead_unit_fraction=from_row(4, share, 0.1))
        assert found == (severity and (severity, 4))

    def test_a_network_that_learns_with_few_units_is_healthy(self):
        assert seen(self.rule, 60, score=rising(60), dead_unit_fraction=0.8) is None

    def test_the_first_rows_are_too_early(self):
        assert seen(self.rule, 4, 27, score=flat(4), dead_unit_fraction=1.0) is None


class TestUpdateRatio:
    rule = UpdateRatio()

    def test_too_much_is_warned_about_and_too_little_asks_for_a_stop(self):
        found = self.rule(history(27, score=flat(27), update_ratio=from_row(5, 0.6, 0.05), lr=0.1))
        assert found
        assert (found.severity, found.since) == ("warn", 5)
        assert "by 0.6 of their size at a learning rate of 0.1" in found.evidence
        assert seen(self.rule, 27, score=flat(27), update_ratio=1e-8) == ("stop", 1)

    def test_a_frozen_policy_is_left_to_its_own_rule(self):
        still: Metrics = {"kl": 1e-12, "clip_fraction": 0.0, "entropy": 1.38}
        assert seen(self.rule, 27, score=flat(27), update_ratio=1e-8, **still) is None

    @pytest.mark.parametrize("ratio", [0.6, 1e-8])
    def test_a_run_that_learns_is_healthy(self, ratio: float):
        assert seen(self.rule, 27, score=rising(27), update_ratio=ratio) is None

    def test_a_schedule_that_ends_at_zero_is_healthy(self):
        ratio: Metrics = {"update_ratio": lambda i: 0.02 * (1 - i / 60) ** 2}
        assert seen(self.rule, 60, score=flat(60), **ratio) is None

    def test_a_learning_rate_that_warms_up_is_healthy(self):
        ratio: Metrics = {"update_ratio": from_row(25, 0.02, 1e-8)}
        for n in range(1, 30):
            assert seen(self.rule, n, 300, score=flat(n), **ratio) is None


class TestNoExploration:
    rule = NoExploration()

    def test_a_policy_that_was_certain_from_the_start_is_found_early(self):
        assert seen(self.rule, 5, 81, score=flat(5), entropy=0.01) == ("warn", 1)
        metrics: Metrics = {"entropy": 0.2, "entropy_normalised": 0.02}
        assert seen(self.rule, 5, 81, score=flat(5), **metrics) == ("warn", 1)

    def test_a_policy_that_imitated_is_noted(self):
        loss: Metrics = {"warm_start_loss": lambda i: 0.3 if i == 1 else None}
        assert seen(self.rule, 27, score=flat(27), entropy=0.01, **loss) == ("note", 1)

    def test_one_that_became_certain_is_left_to_entropy_collapse(self):
        assert seen(self.rule, 27, score=flat(27), entropy=from_row(3, 0.01, 1.0)) is None

    def test_a_rising_score_and_a_continuous_policy_are_healthy(self):
        assert seen(self.rule, 27, score=rising(27), entropy=0.01) is None
        assert seen(self.rule, 6, 27, score=[1.0, 2, 3, 4, 5, 6], entropy=0.01) is None
        assert seen(self.rule, 27, score=flat(27), entropy=-1.5) is None

    def test_the_first_rows_are_too_early(self):
        assert seen(self.rule, 4, 27, score=flat(4), entropy=0.01) is None


class TestRewardScale:
    rule = RewardScale()
    large: ClassVar[Metrics] = {
        "target_abs_max": 5e4,
        "value_loss": 1e8,
        "explained_variance": 0.0,
    }

    def test_large_returns_that_the_value_does_not_explain_are_warned_about(self):
        found = self.rule(history(27, score=flat(27), **self.large))
        assert found
        assert (found.severity, found.since) == ("warn", 1)
        assert "target_abs_max is 5e+04 in size" in found.evidence
        assert "explained variance is 0" in found.evidence

    def test_large_returns_whose_gradients_are_always_clipped_are_warned_about(self):
        metrics: Metrics = {**self.large, "explained_variance": 0.6, "grad_clip_fraction": 1.0}
        assert seen(self.rule, 27, score=flat(27), **metrics) == ("warn", 1)

    def test_tiny_returns_are_warned_about_by_the_return_where_that_is_all(self):
        metrics: Metrics = {"explained_variance": 0.0, "value_loss": 1e-9, "return_mean": 1e-5}
        assert seen(self.rule, 27, score=flat(27), **metrics) == ("warn", 1)

    @pytest.mark.parametrize(
        "change",
        [
            {"explained_variance": 0.6},
            {"target_abs_max": 80.0},
            {"value_loss": 0.9},  # rewards were normalised for the learner
            {"target_abs_max": 0.0},
        ],
    )
    def test_size_alone_is_healthy(self, change: Metrics):
        assert seen(self.rule, 27, score=flat(27), **{**self.large, **change}) is None

    def test_a_run_that_learns_is_healthy_and_little_budget_is_too_early(self):
        assert seen(self.rule, 27, score=rising(27), **self.large) is None
        assert seen(self.rule, 15, 100, score=flat(15), **self.large) is None


class TestValueDivergence:
    rule = ValueDivergence()

    def test_values_that_leave_their_targets_behind_are_found(self):
        metrics: Metrics = {"value_loss": 1.0, "target_abs_max": 5.0}
        metrics["value_abs_max"] = lambda i: 5.0 * 1.5**i
        assert seen(self.rule, 27, score=flat(27), **metrics) == ("stop", 6)

    def test_an_error_that_explodes_is_found_in_any_log(self):
        loss: Metrics = {"value_loss": lambda i: 0.1 * 2.0**i}
        found: Any = seen(self.rule, 27, score=flat(27), **loss)
        assert found == ("stop", 12)

    @pytest.mark.parametrize(("growth", "found"), [(25.0, None), (40.0, "warn"), (250.0, "warn")])
    def test_a_loss_that_grows_thirtyfold_is_warned_about(self, growth: float, found: Any):
        loss = [1.0] * 20 + np.linspace(growth, 1.1 * growth, 10).tolist()
        metrics: Metrics = {"value_loss": loss, "return_mean": 1.0}
        assert (seen(self.rule, 30, score=flat(30), **metrics) or (None,))[0] == found

    def test_a_value_loss_that_grows_with_the_returns_is_healthy(self):
        metrics: Metrics = {
            "return_mean": lambda i: 10.0 * i,
            "value_loss": lambda i: 1e-3 * (10.0 * i) ** 2,
        }
        assert seen(self.rule, 60, score=flat(60), **metrics) is None
        steep: Metrics = {"return_mean": lambda i: 2.0**i, "value_loss": lambda i: 4.0**i}
        assert seen(self.rule, 27, score=flat(27), **steep) is None

    def test_large_values_that_stay_where_they_are_are_healthy(self):
        metrics: Metrics = {"value_loss": 1.0, "value_abs_max": 90.0, "target_abs_max": 5.0}
        assert seen(self.rule, 27, score=flat(27), **metrics) is None

    def test_a_run_that_learns_is_healthy_and_the_first_rows_are_too_early(self):
        loss: Metrics = {"value_loss": lambda i: 0.1 * 2.0**i}
        assert seen(self.rule, 27, score=rising(27), **loss) is None
        assert seen(self.rule, 7, 81, score=flat(7), **loss) is None

    def test_values_that_run_away_while_the_run_still_learns_are_warned_about(self):
        returns = [100 * r for r in rising(27, 0.2)]
        metrics: Metrics = {"return_mean": returns, "value_loss": lambda i: 0.1 * 1.6**i}
        assert seen(self.rule, 27, score=returns, **metrics) == ("warn", 21)
        mild: Metrics = {"return_mean": returns, "value_loss": lambda i: 0.1 * 1.2**i}
        assert seen(self.rule, 27, score=returns, **mild) is None

    def test_a_leap_that_is_over_and_errors_before_the_first_reward_are_healthy(self):
        over: Metrics = {"return_mean": 20.0, "value_loss": lambda i: 90.0 - i if i > 9 else 1.0}
        assert seen(self.rule, 27, score=flat(27), **over) is None
        late: Metrics = {"return_mean": from_row(10, 1.0, 0.0)}
        late["value_loss"] = lambda i: 0.01 * i if i >= 10 else 1e-9
        assert seen(self.rule, 40, score=flat(40), **late) is None


@pytest.mark.parametrize("kind", [UpdateRatio, DeadUnits, ValueDivergence, GroupsWithoutSignal])
def test_nothing_is_said_before_the_score_can_be_judged(kind: type[Rule]):
    sick: Metrics = {"update_ratio": 0.9, "dead_unit_fraction": 1.0, "group_signal": 0.0}
    sick["value_loss"] = lambda i: 10.0**i
    assert kind()(history(7, 8, score=flat(7), **sick)) is None
