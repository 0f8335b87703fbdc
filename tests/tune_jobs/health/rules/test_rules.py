"""Each rule finds its sickness, and none of the healthy runs that look like it."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
import pytest
from health_runs import HEALTHY, Metrics, flat, from_row, history, rising, seen

from envs.validation import InputError
from tune_jobs.health import RULES, History
from tune_jobs.health.rules.choice_concentration import ChoiceConcentration
from tune_jobs.health.rules.entropy_collapse import EntropyCollapse
from tune_jobs.health.rules.frozen_policy import FrozenPolicy
from tune_jobs.health.rules.gradients_always_clipped import GradientsAlwaysClipped
from tune_jobs.health.rules.hung import Hung
from tune_jobs.health.rules.kl_runaway import KlRunaway
from tune_jobs.health.rules.low_explained_variance import LowExplainedVariance
from tune_jobs.health.rules.no_improvement import NoImprovement
from tune_jobs.health.rules.not_finite import NotFinite
from tune_jobs.health.rules.zero_reward import ZeroReward

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("symptom", RULES)
@pytest.mark.parametrize("n", [1, 5, 12, 27, 100, 300])
def test_a_healthy_run_has_no_finding(symptom: str, n: int):
    assert RULES[symptom](history(n, max(n, 27), **HEALTHY, score=rising(n))) is None


@pytest.mark.parametrize("symptom", RULES)
def test_no_rows_no_finding(symptom: str):
    assert RULES[symptom](history(0, 27)) is None


class TestNotFinite:
    rule = NotFinite()

    def test_a_counted_number_is_found_where_it_was_first_met(self):
        where: Metrics = {"nonfinite_where": lambda i: "rewards" if i == 3 else None}
        finding = self.rule(history(5, 50, nonfinite=from_row(3, 7.0, 0.0), **where))
        assert finding
        assert (finding.severity, finding.since) == ("stop", 3)
        assert "21 non-finite numbers, the first in rewards, in iteration 3" in finding.evidence

    @pytest.mark.parametrize("name", ["policy_loss", "value_loss", "entropy", "kl", "grad_norm"])
    @pytest.mark.parametrize("value", [NAN, INF])
    def test_logs_without_a_count_are_judged_by_their_metrics(self, name: str, value: float):
        assert seen(self.rule, 5, score=1, **{name: from_row(5, value, 1.0)}) == ("stop", 5)

    def test_nan_in_explained_variance_is_healthy(self):
        assert seen(self.rule, 37, score=rising(37), explained_variance=NAN) is None

    def test_an_empty_cell_is_healthy(self):
        assert seen(self.rule, 9, score=1, policy_loss=from_row(2, 0.1, None)) is None

    def test_a_row_that_counted_none_is_believed(self):
        assert seen(self.rule, 9, nonfinite=0, kl=NAN) is None

    def test_a_return_may_be_nan_only_when_no_episode_finished(self):
        assert seen(self.rule, 9, return_mean=NAN, episodes=0) is None
        assert seen(self.rule, 9, return_mean=NAN, episodes=3) == ("stop", 1)
        assert seen(self.rule, 9, return_mean=INF, episodes=0) == ("stop", 1)


class TestZeroReward:
    rule = ZeroReward()
    dead: ClassVar[Metrics] = {
        "score": 0.0,
        "episodes": 20,
        "episode_length": 25,
        "rewarded_episode_fraction": 0.0,
    }

    def test_a_plateau_is_found(self):
        share: Metrics = {"zero_reward_fraction": from_row(4, 0.89, 0.5)}
        assert seen(self.rule, 10, 27, **self.dead, **share) == ("warn", 4)
        assert seen(self.rule, 15, 27, **self.dead, **share) == ("stop", 4)

    @pytest.mark.parametrize(("zero", "found"), [(0.86, "warn"), (0.84, None), (0.55, None)])
    def test_up_to_85_percent_of_unrewarded_steps_are_healthy(self, zero: float, found: Any):
        # 25 steps an episode: several of them rewarded, whatever the share.
        metrics: Metrics = {
            **self.dead,
            "zero_reward_fraction": zero,
            "rewarded_episode_fraction": 0.9,
        }
        assert (seen(self.rule, 27, **metrics) or (None,))[0] == found

    def test_rare_rewards_alone_never_end_a_run(self):
        # One episode in six is rewarded by chance, and that share is flat.
        metrics: Metrics = {
            **self.dead,
            "score": flat(60, 0.17, 0.03),
            "zero_reward_fraction": 0.99,
        }
        rare: Metrics = {**metrics, "rewarded_episode_fraction": flat(60, 0.17, 0.03, seed=1)}
        found = [seen(self.rule, n, 60, **rare) for n in range(15, 61)]
        assert set(found) == {("warn", 1)}
        assert seen(self.rule, 60, **metrics) == ("stop", 1)

    def test_a_rising_share_of_rewarded_episodes_is_a_note(self):
        metrics: Metrics = {**self.dead, "zero_reward_fraction": 0.99}
        shares = [0.0] * 15 + np.linspace(0.02, 0.3, 15).tolist()
        metrics |= {"rewarded_episode_fraction": shares}
        assert seen(self.rule, 30, 60, **metrics) == ("note", 1)
        assert seen(self.rule, 18, 60, **metrics) == ("warn", 1)

    def test_a_log_that_does_not_say_which_episodes_were_rewarded_is_warned_about(self):
        metrics = {n: curve for n, curve in self.dead.items() if n != "rewarded_episode_fraction"}
        assert seen(self.rule, 27, **metrics, zero_reward_fraction=1.0) == ("warn", 1)

    def test_a_sparse_reward_found_late_is_warned_about_and_never_stopped(self):
        # Nothing until 30 % of the budget, as in healthy runs on sparse tasks.
        n = 100
        share = [1.0] * 30 + np.linspace(0.99, 0.6, n - 30).tolist()
        score = [0.0] * 30 + np.linspace(0.02, 1.0, n - 30).tolist()
        metrics: Metrics = {"episodes": 20.0, "episode_length": 200.0}
        found = [
            seen(self.rule, end, n, zero_reward_fraction=share, score=score, **metrics)
            for end in range(1, n + 1)
        ]
        assert set(found) == {None, ("note", 1), ("warn", 1)}
        assert set(found[60:]) == {None}

    def test_a_reward_paid_once_an_episode_is_no_more_than_a_note(self):
        metrics: Metrics = {
            **self.dead,
            "score": flat(100, 0.5, 0.05),
            "zero_reward_fraction": 0.96,
        }
        assert seen(self.rule, 100, **metrics) == ("note", 1)
        assert seen(self.rule, 100, **{**metrics, "zero_reward_fraction": 0.999}) == ("stop", 1)

    def test_few_episodes_or_little_budget_are_too_early(self):
        share: Metrics = {"zero_reward_fraction": 1.0}
        assert seen(self.rule, 20, 27, **{**self.dead, "episodes": 2}, **share) is None
        assert seen(self.rule, 15, 100, **self.dead, **share) is None

    def test_rows_without_the_share_are_left_out(self):
        share: Metrics = {"zero_reward_fraction": lambda i: NAN if i % 2 else 1.0}
        assert seen(self.rule, 27, **self.dead, **share) == ("stop", 24)
        assert seen(self.rule, 27, **self.dead, zero_reward_fraction=NAN) is None


class TestNoImprovement:
    rule = NoImprovement()

    @pytest.mark.parametrize("budget", [27, 100, 300])
    def test_a_dead_run_is_found(self, budget: int):
        score = [1.0, 1.2, *([1.1] * budget)]
        warned, stopped = math.ceil(budget * 0.75), math.ceil(budget * 0.8)
        assert seen(self.rule, warned, budget, score=score) == ("warn", 2)
        assert seen(self.rule, stopped, budget, score=score) == ("stop", 2)

    def test_the_evidence_names_the_best_score_as_the_user_knows_it(self):
        rows = history(30, cost=[3.0, 2.5, *([3.0] * 28)]).rows
        finding = self.rule(History(rows, 30, "cost", "min"))
        assert finding
        assert "the best cost (2.5, iteration 2)" in finding.evidence

    def test_a_converged_run_is_healthy(self):
        assert seen(self.rule, 300, score=[*rising(50), *([1.0] * 250)]) is None

    def test_a_slow_run_that_tends_upwards_is_healthy(self):
        assert seen(self.rule, 100, score=np.linspace(1.0, 1.04, 100).tolist()) is None

    def test_a_late_start_is_healthy(self):
        # Flat for 41 % of the run, as one healthy DQN run was.
        score = [*flat(41, 1.0, 0.02), *np.linspace(1.0, 5.0, 59).tolist()]
        for n in range(60, 101):
            assert seen(self.rule, n, 100, score=score) is None

    def test_a_record_of_late_puts_it_off(self):
        score = [1.0] * 60
        score[50] = 1.5
        assert seen(self.rule, 60, 100, score=score) is None

    def test_a_lucky_iteration_of_few_episodes_is_no_best(self):
        score = flat(60, 1.0, 0.1, seed=1)
        score[45] = 2.0
        few: Metrics = {"episodes": lambda i: 1 if i == 46 else 10}
        assert seen(self.rule, 60, score=score, **few) == ("stop", 2)
        # With as many episodes as the others have it is a record, and it is too early to say.
        assert seen(self.rule, 60, score=score, episodes=20) is None

    def test_nothing_is_said_before_any_score_has_enough_episodes(self):
        assert seen(self.rule, 40, 100, score=1.0, episodes=lambda i: float(i % 4 == 0)) is None
        assert seen(self.rule, 60, 60, score=1.0, episodes=1) == ("stop", 20)

    def test_rows_without_a_score_are_left_out(self):
        score = [NAN if i % 3 == 0 else 1.0 for i in range(60)]
        assert seen(self.rule, 60, score=score) == ("stop", 2)


class TestChoiceConcentration:
    rule = ChoiceConcentration()

    @staticmethod
    def one_takes(share: float, choices: int = 5) -> Metrics:
        rest = (1 - share) / (choices - 1)
        return {
            "choice_fractions": lambda i: [share, *([rest] * (choices - 1))],
            "choice_fraction_max": share,
            "env_steps": lambda i: 2048.0 * i,
        }

    @pytest.mark.parametrize(
        ("share", "severity"), [(0.45, None), (0.6, "note"), (0.75, "warn"), (0.98, "stop")]
    )
    def test_severity_follows_the_share(self, share: float, severity: str | None):
        found = seen(self.rule, 27, score=flat(27), **self.one_takes(share))
        assert found == (severity and (severity, 1))

    def test_three_quarters_for_one_of_two_is_no_more_than_a_note(self):
        assert seen(self.rule, 27, score=flat(27), **self.one_takes(0.75, 2)) == ("note", 1)

    def test_its_beginning_and_the_choice_are_named(self):
        metrics: Metrics = {**self.one_takes(0.98), "choice_fraction_max": from_row(9, 0.98, 0.3)}
        finding = self.rule(history(27, score=flat(27), **metrics))
        assert finding
        assert finding.since == 9
        assert "one choice (number 0) takes 98%" in finding.evidence

    def test_a_greedy_optimum_is_healthy(self):
        assert seen(self.rule, 27, score=rising(27), **self.one_takes(1.0)) is None

    def test_few_steps_are_too_early(self):
        metrics: Metrics = {**self.one_takes(1.0), "env_steps": lambda i: 10.0 * i}
        assert seen(self.rule, 27, score=flat(27), **metrics) is None

    def test_a_single_choice_is_no_choice(self):
        metrics: Metrics = {"choice_fractions": lambda i: [1.0], "choice_fraction_max": 1.0}
        assert seen(self.rule, 27, score=flat(27), **metrics) is None

    def test_rows_without_the_share_are_left_out(self):
        metrics: Metrics = {
            "score": flat(27),
            "choice_fraction_max": lambda i: NAN if i % 2 else 0.99,
        }
        assert seen(self.rule, 27, **metrics) == ("stop", 24)


class TestEntropyCollapse:
    rule = EntropyCollapse()

    def test_a_collapse_is_found(self):
        # The edges post-mortem: 8.83 nats of 8.96 fall to 0.004, the reward stays flat.
        entropy = [8.83 * math.exp(-0.5 * i) + 0.004 for i in range(40)]
        normalised = [value / 8.96 for value in entropy]
        metrics: Metrics = {"score": flat(40), "entropy": entropy}
        assert seen(self.rule, 40, **metrics) == ("stop", 12)
        assert seen(self.rule, 40, **metrics, entropy_normalised=normalised) == ("stop", 7)

    def test_late_entropy_near_zero_after_the_return_rose_is_healthy(self):
        metrics: Metrics = {
            "entropy": lambda i: 1.4 * 0.9**i,
            "entropy_normalised": lambda i: 0.9**i,
        }
        assert seen(self.rule, 100, score=rising(100), **metrics) is None

    def test_an_entropy_that_is_only_low_is_healthy(self):
        metrics: Metrics = {"score": flat(40), "entropy": 0.2, "entropy_normalised": 0.14}
        assert seen(self.rule, 40, **metrics) is None

    def test_a_continuous_policy_may_have_negative_entropy(self):
        assert seen(self.rule, 40, score=flat(40), entropy=lambda i: 0.5 - 0.05 * i) is None

    def test_a_continuous_policy_at_two_percent_of_its_spread_is_warned_about(self):
        entropy: Metrics = {"entropy": lambda i: 1.4 - 0.2 * i}
        assert seen(self.rule, 40, score=flat(40), **entropy) == ("warn", 22)

    def test_rows_without_the_entropy_are_left_out(self):
        entropy: Metrics = {"entropy": lambda i: NAN if i % 2 else 0.0}
        assert seen(self.rule, 40, score=flat(40), **entropy) == ("stop", 28)


class TestLowExplainedVariance:
    rule = LowExplainedVariance()
    noise: ClassVar[Metrics] = {"explained_variance": flat(60, 0.0, 0.01), "value_loss": 1.0}

    def test_a_critic_that_explains_nothing_is_found(self):
        # With the default policy this is no more than a warning (see the doctor's tests).
        assert seen(self.rule, 60, score=flat(60), **self.noise) == ("stop", 1)

    def test_near_zero_with_a_saturated_return_is_healthy(self):
        metrics: Metrics = {
            "explained_variance": from_row(15, 0.0, 0.6),
            "value_loss": lambda i: 1.0 / i,
        }
        assert seen(self.rule, 60, score=[*rising(20), *([1.0] * 40)], **metrics) is None

    def test_a_growing_value_loss_is_noted_though_the_score_improves(self):
        metrics: Metrics = {**self.noise, "value_loss": lambda i: 0.1 * i}
        assert seen(self.rule, 60, score=rising(60), **metrics) == ("note", 1)

    def test_a_critic_that_sometimes_explains_is_healthy(self):
        metrics: Metrics = {"explained_variance": lambda i: 0.5 if i % 4 == 0 else 0.0}
        assert seen(self.rule, 60, score=flat(60), **metrics) is None

    def test_nan_says_nothing(self):
        metrics: Metrics = {"explained_variance": lambda i: 0.0 if i % 4 == 0 else NAN}
        assert seen(self.rule, 60, score=flat(60), **metrics) is None

    def test_it_judges_short_trials_from_half_of_their_budget(self):
        assert seen(self.rule, 13, 27, score=flat(27), **self.noise) is None
        assert seen(self.rule, 14, 27, score=flat(27), **self.noise) == ("stop", 1)


class TestGradientsAlwaysClipped:
    rule = GradientsAlwaysClipped()
    clipped: ClassVar[Metrics] = {"grad_clip_fraction": 1.0, "grad_norm": 20.0, "grad_clip": 0.5}

    def test_clipped_while_improving_is_healthy(self):
        assert seen(self.rule, 60, score=rising(60), **self.clipped) is None

    def test_clipped_without_improving_is_noted(self):
        assert seen(self.rule, 60, score=flat(60), **self.clipped) == ("note", 1)

    def test_a_norm_of_a_thousand_times_the_limit_is_taken_for_the_cause(self):
        metrics: Metrics = {**self.clipped, "grad_norm": 4000.0}
        metrics["grad_clip_fraction"] = from_row(31, 1.0, 0.5)
        assert seen(self.rule, 60, score=flat(60), **metrics) == ("stop", 31)

    def test_without_the_norm_it_is_a_note(self):
        assert seen(self.rule, 60, score=flat(60), grad_clip_fraction=1.0) == ("note", 1)

    def test_rows_without_the_share_are_left_out(self):
        assert seen(self.rule, 60, score=flat(60), grad_clip_fraction=NAN) is None


class TestKlRunaway:
    rule = KlRunaway()

    def test_a_jump_is_found_at_once(self):
        kl: Metrics = {"kl": from_row(4, 14.2, 0.02), "score": flat(4)}
        assert seen(self.rule, 4, 27, **kl) == ("stop", 4)
        assert seen(self.rule, 4, 27, kl=from_row(4, INF, 0.02)) == ("stop", 4)

    def test_three_large_ones_are_warned_about(self):
        kl: Metrics = {"kl": lambda i: 0.7 if i in (18, 20, 21) else 0.02}
        assert seen(self.rule, 22, score=flat(22), **kl) == ("warn", 18)
        assert seen(self.rule, 20, score=flat(20), **kl) is None

    def test_a_median_above_a_tenth_is_warned_about(self):
        assert seen(self.rule, 30, score=flat(30), kl=from_row(11, 0.15, 0.01)) == ("warn", 11)

    def test_a_high_median_is_healthy_while_the_score_rises(self):
        assert seen(self.rule, 30, score=rising(30), kl=0.37) is None

    def test_the_worst_healthy_kl_is_healthy(self):
        kl: Metrics = {"kl": lambda i: 0.18 if i % 5 == 0 else 0.022}
        assert seen(self.rule, 60, score=flat(60), **kl) is None

    def test_a_run_that_improves_in_spite_of_it_is_not_stopped(self):
        assert seen(self.rule, 60, score=rising(60), kl=12.0) == ("warn", 1)

    def test_nan_is_left_out(self):
        assert seen(self.rule, 60, score=flat(60), kl=NAN) is None


class TestFrozenPolicy:
    rule = FrozenPolicy()
    still: ClassVar[Metrics] = {
        "kl": 1e-9,
        "clip_fraction": 0.0,
        "entropy": lambda i: 1.38 + 1e-4 * (i % 3),
    }

    def test_a_frozen_policy_is_found_early(self):
        finding = self.rule(history(7, 27, score=flat(7), lr=1e-12, **self.still))
        assert finding
        assert (finding.severity, finding.since) == ("stop", 1)
        assert "learning rate 1e-12" in finding.evidence

    def test_kl_of_exactly_zero_counts_where_the_clip_fraction_is_measured_too(self):
        metrics: Metrics = {**self.still, "score": flat(30)}
        assert seen(self.rule, 30, **{**metrics, "kl": 0.0}) == ("stop", 1)
        del metrics["clip_fraction"]
        assert seen(self.rule, 30, **{**metrics, "kl": 0.0}) is None

    def test_without_kl_a_constant_entropy_is_warned_about(self):
        assert seen(self.rule, 30, score=flat(30), entropy=1.38) == ("warn", 1)
        assert seen(self.rule, 30, score=flat(30), kl=0.0, entropy=1.38) == ("warn", 1)

    def test_converged_kl_of_zero_at_the_end_is_healthy(self):
        metrics: Metrics = {"kl": from_row(20, 0.0, 0.01), "clip_fraction": from_row(20, 0.0, 0.1)}
        metrics["entropy"] = lambda i: max(1.4 - 0.07 * i, 0.0)
        assert seen(self.rule, 200, score=[*rising(20), *([1.0] * 180)], **metrics) is None
        assert seen(self.rule, 200, score=flat(200), **metrics) is None

    def test_a_learning_rate_that_warms_up_is_healthy(self):
        metrics: Metrics = {**self.still, "kl": from_row(20, 0.01, 1e-9), "score": flat(300)}
        for n in range(1, 301):
            assert seen(self.rule, n, 300, **metrics) is None

    def test_a_single_spread_is_no_evidence_when_the_score_rises(self):
        assert seen(self.rule, 30, score=rising(30), entropy=1.38) is None

    def test_rows_without_the_entropy_are_left_out(self):
        assert seen(self.rule, 30, score=flat(30), entropy=NAN, kl=1e-9) is None


@pytest.mark.parametrize("symptom", RULES)
def test_a_threshold_out_of_range_is_refused_with_a_sentence(symptom: str):
    kind: Any = type(RULES[symptom])
    for field in dataclasses.fields(kind):
        with pytest.raises(InputError, match=rf"{kind.__name__}\.{field.name} must be .*-7"):
            kind(**{field.name: -7})


class TestHung:
    rule = Hung()

    def test_a_lost_worker_is_warned_about_with_the_place_where_it_hung(self):
        lost: Metrics = {"runners_lost": lambda i: float(i == 9)}
        assert seen(self.rule, 9, **lost) == ("warn", 9)
        assert seen(self.rule, 10, **lost) is None

    def test_losing_one_in_every_iteration_asks_for_a_stop(self):
        assert seen(self.rule, 12, runners_lost=from_row(8, 1.0, 0.0)) == ("stop", 8)
