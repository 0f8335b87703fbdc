"""The rules for what only logs of others show, and the reader's help for the rest of them."""

import math
from pathlib import Path

import numpy as np
import pytest
from health_runs import Metrics, flat, from_row, history, make_rows, rising, seen

from tune_jobs.health import History, diagnose
from tune_jobs.health.logs.smoothed import WINDOW, SmoothedHistory
from tune_jobs.health.logs.translation import Record, translate_log
from tune_jobs.health.rules.entropy_collapse import EntropyCollapse
from tune_jobs.health.rules.entropy_stuck_at_max import EntropyStuckAtMax
from tune_jobs.health.rules.exploration_never_decays import ExplorationNeverDecays
from tune_jobs.health.rules.gamma_too_low import GammaTooLow
from tune_jobs.health.rules.no_improvement import NoImprovement
from tune_jobs.health.rules.no_updates import NoUpdates
from tune_jobs.health.rules.reward_scale import RewardScale
from tune_jobs.health.rules.std_blowup import StdBlowup


def test_exploration_that_never_decays_is_found_late_in_the_run():
    rule = ExplorationNeverDecays()
    assert seen(rule, 40, exploration_rate=1.0) == ("warn", 1)
    assert seen(rule, 20, 40, exploration_rate=1.0) is None  # half of the run may explore
    assert seen(rule, 40, exploration_rate=lambda i: max(0.05, 1 - 0.05 * i)) is None


def test_a_run_without_one_update_is_found_and_ended_from_half_of_its_budget_on():
    rule = NoUpdates()
    assert seen(rule, 30, updates=0) == ("stop", 1)
    assert seen(rule, 12, 40, updates=0) == ("warn", 1)
    assert seen(rule, 7, 40, updates=0) is None
    assert seen(rule, 30, updates=from_row(25, 1.0, 0.0)) is None


def test_a_spread_that_grows_fourfold_is_found_unless_the_score_improves():
    rule = StdBlowup()
    grows = {"entropy": lambda i: 1.4 + 0.06 * i}
    assert seen(rule, 40, score=flat(40), **grows) == ("stop", 25)
    assert seen(rule, 40, score=rising(40), **grows) is None
    assert seen(rule, 40, score=flat(40), entropy=lambda i: 1.4 + 0.01 * i) is None
    assert seen(rule, 40, score=flat(40), entropy=lambda i: min(3.0, 1.4 + 0.8 * i)) is None


def test_a_discount_that_hides_long_episodes_is_found_unless_it_works():
    rule = GammaTooLow()
    assert seen(rule, 40, gamma=0.0, episode_length=20, score=flat(40)) == ("warn", 1)
    assert seen(rule, 40, gamma=0.0, episode_length=20, score=rising(40)) is None
    assert seen(rule, 40, gamma=0.0, episode_length=1, score=flat(40)) is None
    assert seen(rule, 40, gamma=0.9, episode_length=20, score=flat(40)) is None


@pytest.mark.parametrize("explained, gamma", [(math.nan, 0.0), (0.3, None)])
def test_a_discount_of_zero_is_known_by_targets_that_are_all_the_same(explained, gamma):
    records = [
        Record(f"line {i}", {"rollout/ep_rew_mean": 20.0 + i % 3, "train/explained_variance": ev})
        for i, ev in enumerate([math.nan, *[explained] * 19])
    ]
    log = translate_log(Path("progress.csv"), "run", "SB3 progress.csv", records, {})
    assert {row.get("gamma") for row in log.rows} == {gamma}


def test_a_reward_that_is_always_the_same_says_nothing_of_the_discount():
    values = {"rollout/ep_rew_mean": 1.0, "train/explained_variance": math.nan}
    log = translate_log(Path("progress.csv"), "run", "SB3", [Record("line 1", values)] * 20, {})
    assert not any("gamma" in row for row in log.rows)


def test_returns_too_small_for_any_optimiser_are_found_whatever_the_value_explains():
    metrics = {"explained_variance": 0.6, "value_loss": 1e-5}
    for size, found in ((2e-5, ("warn", 1)), (0.005, None)):
        score = [size * s for s in flat(40)]
        assert seen(RewardScale(), 40, score=score, return_mean=score, **metrics) == found


def test_a_score_that_tends_upwards_clears_large_returns_that_are_not_vast():
    metrics = {"explained_variance": 0.0, "value_loss": 1e3}
    for size, cleared in ((200.0, True), (1e6, False)):
        score = [size * (1 + 0.001 * i) for i in range(40)]
        found = seen(RewardScale(), 40, score=score, return_mean=score, **metrics)
        assert (found is None) is cleared


def test_a_lucky_row_late_in_a_run_of_noise_is_no_improvement():
    late = [*flat(34), 1.2, *flat(5, seed=1)]  # the best by 5 %, within the noise
    assert seen(NoImprovement(), 40, score=late) is not None
    assert seen(NoImprovement(), 40, score=[*flat(34), *flat(6, 2.0)]) is None


def test_a_score_that_tends_upwards_clears_a_certain_policy():
    nearly = [19.0 + 0.9 * i / 60 for i in range(60)]  # had learnt by its first row
    assert history(60, score=nearly).improved is False
    assert seen(EntropyCollapse(), 60, entropy=0.01, score=nearly) is None
    assert seen(EntropyCollapse(), 60, entropy=0.01, score=flat(60)) is not None


def test_a_trend_is_chance_where_the_policy_is_uniform():
    drift = [20 + 0.02 * i for i in range(40)]
    moves = {"kl": 1e-4, "entropy": lambda i: 0.693 - 1e-5 * i}
    stuck = EntropyStuckAtMax()
    assert seen(stuck, 40, entropy_normalised=0.9995, score=drift, **moves) is not None
    assert seen(stuck, 40, entropy_normalised=0.99, score=drift, **moves) is None


def test_a_start_whose_rows_scatter_more_than_the_end_is_no_low_start():
    # RLlib on CartPole, paid with noise: it learnt to end its episodes soon.
    start = [-2, 0.52, -1.68, 1.03, -2.52, 0.58, -0.5, 0.33, -0.21, -0.67, 0.81, -0.06]
    assert history(30, score=[*start, *flat(18, 0.3, 0.3)], episodes=30).improved is False


def test_a_run_that_learns_within_the_skipped_rows_and_then_scatters_has_improved():
    # RLlib on CartPole: a row has 20 episodes at first, 3 later.
    score = [21, 25, 35, 62, 85, 69, 112, 156, 132, 149, 201, 249, 253, 218, 283, 169, 136, 186]
    score += [302, 238, 234, 324, 500, 172, 127, 268, 313, 139, 160, 166, 207, 118, 195, 157, 192]
    episodes = [23, 18, 13, 7, 5, 8, 6, *[3] * (len(score) - 7)]
    assert history(len(score), score=score, episodes=episodes).improved is True


def moving_average(returns, rows=40, per_row=22, **more):
    """The rows that SB3 would have logged of the returns of episodes."""
    ends = [per_row * (i + 1) for i in range(rows)]
    scores = [float(np.mean(returns[max(0, end - WINDOW) : end])) for end in ends]
    plain = history(rows, score=scores, episodes=per_row, **more)
    return SmoothedHistory(plain.rows, rows), plain


def test_the_walk_of_a_moving_average_is_no_improvement():
    wrong = {"smoothed": 0, "plain": 0}
    for seed in range(40):
        noise = 20 + np.random.default_rng(seed).exponential(12, 22 * 40)
        smoothed, plain = moving_average(noise)
        wrong["smoothed"] += bool(smoothed.improved or smoothed.trend > 0.3)
        wrong["plain"] += bool(plain.improved or plain.trend > 0.3)
    assert wrong["smoothed"] <= 4 < wrong["plain"]


@pytest.mark.parametrize("per_row", [1, 5, 22, 200])
def test_what_was_learnt_is_seen_through_a_moving_average(per_row):
    n = 40 * per_row
    learnt = 20 + 180 * (1 - np.exp(-6 * np.arange(n) / n))
    returns = learnt * (1 + 0.4 * np.random.default_rng(0).normal(size=n))
    smoothed, _ = moving_average(returns, per_row=per_row)
    assert smoothed.improved


def test_a_moving_average_of_too_few_rows_says_nothing():
    smoothed, _ = moving_average(np.ones(22 * 7), rows=7)
    assert smoothed.improved is None
    assert math.isclose(smoothed.repeats, WINDOW / 22)
    assert smoothed.without_last(6).trend == 0.0


def fixed(returns, per_row=20):
    """A moving average of episodes that are all of one length."""
    return moving_average(returns, rows=len(returns) // per_row, per_row=per_row,
                          episode_length=20)[0]  # fmt: skip


def test_a_task_of_even_episodes_that_is_learnt_within_the_first_hundred_has_improved():
    learnt = np.concatenate([np.linspace(14, 20, 20), np.full(1180, 20.0)])
    assert fixed(learnt).improved
    assert not moving_average(learnt, rows=60, per_row=20)[0].improved  # short ones came first?


def test_a_first_row_of_few_even_episodes_is_no_low_start():
    noise = [np.random.default_rng(seed).normal(0, 4, 1200) for seed in range(40)]
    assert sum(bool(fixed(returns).improved) for returns in noise) <= 2


@pytest.mark.parametrize(("gamma", "found"), [(0.45, True), (0.55, False), (0.85, False)])
def test_a_discount_is_too_low_below_one_half(gamma: float, found: bool):
    metrics: Metrics = {"score": flat(30), "episode_length": 100}
    logged = diagnose(history(30, **metrics, gamma=gamma))
    ours = diagnose(History(make_rows(30, **metrics), 30, settings={"gamma": gamma}))
    for diagnosis in (logged, ours):
        assert ("gamma_too_low" in {f.symptom for f in diagnosis.findings}) is found
        assert "gamma_too_low" in diagnosis.judged
