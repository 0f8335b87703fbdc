"""The rules about what the environment does with the agent: episodes, observations, actions."""

import math
from typing import Any, ClassVar

import pytest
from health_runs import HEALTHY, Metrics, flat, from_row, history, rising, seen

from tune_jobs.health import RULES, SCORE, History, diagnose
from tune_jobs.health.rules.action_clipping import ActionClipping
from tune_jobs.health.rules.always_truncated import AlwaysTruncated
from tune_jobs.health.rules.constant_reward import ConstantReward
from tune_jobs.health.rules.no_episode_ends import NoEpisodeEnds
from tune_jobs.health.rules.no_progress_in_episode import NoProgressInEpisode
from tune_jobs.health.rules.no_success import NoSuccess
from tune_jobs.health.rules.observation_constant import ObservationConstant
from tune_jobs.health.rules.observation_scale import ObservationScale
from tune_jobs.health.rules.range_unused import RangeUnused

NAN = math.nan


class TestNoEpisodeEnds:
    rule = NoEpisodeEnds()
    endless: ClassVar[Metrics] = {
        "env_steps": lambda i: 2048.0 * i,
        "episodes": 0,
        "running_length_max": lambda i: 256.0 * i,
    }

    def test_it_is_noted_then_warned_about_then_a_reason_to_stop(self):
        assert seen(self.rule, 10, 200, **{**self.endless, "running_length_max": 900}) == (
            "note",
            1,
        )
        assert seen(self.rule, 10, 200, **self.endless) == ("warn", 1)
        assert seen(self.rule, 110, 200, **self.endless) == ("stop", 1)
        finding = self.rule(history(110, 200, **self.endless))
        assert finding
        assert "one has lasted for 28,160 steps" in finding.evidence

    def test_a_stop_is_granted_early_because_it_cannot_heal(self):
        long: Metrics = {**self.endless, "running_length_max": lambda i: 4096.0 * i}
        diagnosis = diagnose(history(30, 200, **long))
        assert diagnosis.stop
        assert diagnosis.stop.symptom == "no_episode_ends"

    def test_a_log_of_others_without_any_return_is_warned_about(self):
        log: Metrics = {"env_steps": lambda i: 2048.0 * i, "value_loss": 1.0}
        assert seen(self.rule, 20, **log) == ("warn", 1)
        assert seen(self.rule, 20, **log, return_mean_100=3.0) is None

    def test_episodes_that_are_long_but_end_are_healthy(self):
        metrics: Metrics = {**self.endless, "episodes": lambda i: 1.0 if i == 9 else 0.0}
        assert seen(self.rule, 30, **metrics) is None

    def test_a_continuing_task_that_improves_is_healthy(self):
        assert seen(self.rule, 110, score=rising(110), **self.endless) is None

    def test_a_score_of_another_kind_without_a_count_of_episodes_says_nothing(self):
        assert seen(self.rule, 30, score=flat(30), env_steps=lambda i: 9.0 * i) is None

    def test_ten_rows_come_first_and_steps_must_grow(self):
        assert seen(self.rule, 9, 200, **self.endless) is None
        assert seen(self.rule, 30, **{**self.endless, "env_steps": 5.0}) is None


class TestAlwaysTruncated:
    rule = AlwaysTruncated()
    cut: ClassVar[Metrics] = {"truncated_fraction": 1.0, "episode_length": 200.0}

    def test_it_is_no_more_than_a_note(self):
        assert seen(self.rule, 60, score=[-200.0] * 60, **self.cut) == ("note", 1)

    @pytest.mark.parametrize(
        "change", [{"truncated_fraction": 0.98}, {"episode_length": lambda i: 150.0 + i}]
    )
    def test_an_end_now_and_then_is_healthy(self, change: Metrics):
        assert seen(self.rule, 60, score=flat(60), **{**self.cut, **change}) is None

    def test_a_fixed_horizon_in_which_something_is_learnt_is_healthy(self):
        assert seen(self.rule, 60, score=rising(60), **self.cut) is None

    def test_little_budget_is_too_early(self):
        assert seen(self.rule, 15, 100, score=flat(15), **self.cut) is None


class TestConstantReward:
    rule = ConstantReward()
    same: ClassVar[Metrics] = {"return_mean": -200.0, "episodes": 5, "score": -200.0}

    def test_returns_that_never_differ_are_warned_about_then_stopped(self):
        assert seen(self.rule, 30, 100, **self.same) == ("warn", 1)
        assert seen(self.rule, 60, 100, **self.same) == ("stop", 1)

    def test_a_log_of_others_has_only_a_moving_average(self):
        assert seen(self.rule, 60, score=0.0, return_mean_100=0.0) == ("stop", 1)

    def test_a_return_of_zero_is_left_to_zero_reward_where_that_can_judge(self):
        metrics: Metrics = {**self.same, "return_mean": 0.0, "zero_reward_fraction": 1.0}
        assert seen(self.rule, 60, 100, **metrics) is None

    def test_a_run_that_converged_and_one_that_starts_late_are_healthy(self):
        converged: Metrics = {**self.same, "return_mean": from_row(5, 500.0, 22.0)}
        assert seen(self.rule, 100, **converged) is None
        late: Metrics = {**self.same, "return_mean": from_row(41, -120.0, -200.0)}
        assert all(seen(self.rule, n, 100, **late) in (None, ("warn", 1)) for n in range(1, 101))

    def test_few_episodes_little_budget_or_no_return_say_nothing(self):
        assert seen(self.rule, 30, 100, **{**self.same, "episodes": 1}) is None
        assert seen(self.rule, 15, 100, **self.same) is None
        assert seen(self.rule, 60, score=1.0, return_mean=NAN) is None


class TestObservationScale:
    rule = ObservationScale()

    def test_large_numbers_are_noted_and_dead_units_make_it_a_warning(self):
        large: Metrics = {"observation_abs_max": from_row(3, 1e6, 1.0), "score": flat(27)}
        assert seen(self.rule, 27, **large) == ("note", 3)
        assert seen(self.rule, 27, **large, dead_unit_fraction=0.8) == ("warn", 3)

    def test_a_run_that_learns_from_them_is_healthy(self):
        assert seen(self.rule, 60, score=rising(60), observation_abs_max=1e6) is None

    def test_usual_numbers_are_healthy_and_the_first_rows_too_early(self):
        assert seen(self.rule, 27, score=flat(27), observation_abs_max=40.0) is None
        assert seen(self.rule, 4, 27, score=flat(4), observation_abs_max=1e6) is None


class TestObservationConstant:
    rule = ObservationConstant()

    def test_it_is_noted_early_and_asks_for_a_stop_when_nothing_was_learnt(self):
        constant: Metrics = {"observation_constant_fraction": 1.0}
        assert seen(self.rule, 3, 81, score=flat(3), **constant) == ("note", 1)
        assert seen(self.rule, 27, score=flat(27), **constant) == ("stop", 1)

    def test_constant_entries_among_others_are_healthy(self):
        assert seen(self.rule, 27, score=flat(27), observation_constant_fraction=0.9) is None

    def test_a_bandit_that_is_learnt_is_healthy(self):
        assert seen(self.rule, 60, score=rising(60), observation_constant_fraction=1.0) is None

    def test_two_rows_say_nothing(self):
        assert seen(self.rule, 2, 81, score=flat(2), observation_constant_fraction=1.0) is None


class TestActionClipping:
    rule = ActionClipping()

    def test_values_nearly_always_outside_are_warned_about(self):
        share: Metrics = {"action_clip_fraction": from_row(8, 0.97, 0.3)}
        assert seen(self.rule, 27, score=flat(27), **share) == ("warn", 8)

    def test_bang_bang_control_that_was_learnt_is_healthy(self):
        assert seen(self.rule, 60, score=rising(60), action_clip_fraction=1.0) is None

    def test_a_third_outside_is_healthy_and_the_first_rows_too_early(self):
        assert seen(self.rule, 27, score=flat(27), action_clip_fraction=0.33) is None
        assert seen(self.rule, 4, 27, score=flat(4), action_clip_fraction=1.0) is None


class TestNoSuccess:
    rule = NoSuccess()
    shaped: ClassVar[Metrics] = {"success_rate": 0.0, "episodes": 20, "reward_std": 0.3}

    def test_shaping_rewards_without_a_success_are_found(self):
        assert seen(self.rule, 50, 100, score=flat(50), **self.shaped) == ("warn", 1)
        assert seen(self.rule, 60, 100, score=flat(60), **self.shaped) == ("stop", 1)

    def test_a_score_that_rises_without_a_success_is_warned_about_only(self):
        assert seen(self.rule, 90, 100, score=rising(90), **self.shaped) == ("warn", 1)

    def test_a_success_found_late_is_healthy(self):
        late: Metrics = {**self.shaped, "success_rate": from_row(42, 0.1, 0.0)}
        for n in range(1, 101):
            assert seen(self.rule, n, 100, score=flat(n), **late) is None

    def test_where_no_reward_moves_another_rule_says_more(self):
        metrics: Metrics = {**self.shaped, "reward_std": 0.0, "return_mean": -50.0}
        assert seen(self.rule, 90, 100, score=flat(90), **metrics) is None

    def test_a_log_of_others_has_only_the_return(self):
        metrics: Metrics = {"success_rate": 0.0, "return_mean_100": flat(120)}
        assert seen(self.rule, 120, score=flat(120), **metrics) == ("stop", 1)

    def test_few_episodes_little_budget_or_no_number_say_nothing(self):
        few: Metrics = {**self.shaped, "episodes": 1}
        assert seen(self.rule, 90, 100, score=flat(90), **few) is None
        assert seen(self.rule, 49, 100, score=flat(49), **self.shaped) is None
        unknown: Metrics = {**self.shaped, "success_rate": NAN}
        assert seen(self.rule, 90, 100, score=flat(90), **unknown) is None


@pytest.mark.parametrize(
    ("rule", "metric", "sick", "healthy"),
    [
        (RangeUnused(), "range_utilisation", 0.1, 0.5),
        (NoProgressInEpisode(), "episode_improvement", -0.1, 0.1),
    ],
    ids=["range_unused", "no_progress_in_episode"],
)
class TestSearchWithinEpisodes:
    def test_it_is_noted_then_warned_about(self, rule: Any, metric: str, sick: Any, healthy: Any):
        metrics: Metrics = {metric: from_row(6, sick, healthy)}
        assert seen(rule, 30, 100, score=flat(30), **metrics) == ("note", 6)
        assert seen(rule, 40, 100, score=flat(40), **metrics) == ("warn", 6)

    def test_a_run_that_learns_is_healthy(self, rule: Any, metric: str, sick: Any, healthy: Any):
        metrics: Metrics = {metric: sick}
        assert seen(rule, 60, score=rising(60), **metrics) is None

    def test_a_usual_number_is_healthy(self, rule: Any, metric: str, sick: Any, healthy: Any):
        metrics: Metrics = {metric: healthy}
        assert seen(rule, 60, score=flat(60), **metrics) is None

    def test_little_budget_is_too_early(self, rule: Any, metric: str, sick: Any, healthy: Any):
        metrics: Metrics = {metric: sick}
        assert seen(rule, 15, 100, score=flat(15), **metrics) is None


NEEDS = [(symptom, need) for symptom, rule in RULES.items() for need in rule.needs]


@pytest.mark.parametrize(("symptom", "need"), NEEDS)
def test_every_rule_says_which_of_its_metrics_is_missing(symptom: str, need: str):
    metrics: Metrics = {**HEALTHY, "score": rising(30)}
    del metrics[need]
    diagnosis = diagnose(history(30, **metrics))
    assert diagnosis.not_judged[symptom] == need
    assert symptom not in diagnosis.judged


@pytest.mark.parametrize("symptom", sorted(set(RULES) - {"not_finite", "no_improvement"}))
def test_no_rule_judges_numbers_that_are_all_nan(symptom: str):
    nothing: Metrics = dict.fromkeys(set(RULES[symptom].needs) - {SCORE}, NAN)
    assert RULES[symptom](history(30, score=flat(30), **nothing)) is None


def test_a_sick_run_can_be_judged_by_any_score():
    rows = history(60, cost=flat(60), dead_unit_fraction=1.0).rows
    found = diagnose(History(rows, 60, "cost", "min")).findings
    assert [f.symptom for f in found] == ["dead_units", "no_improvement"]
