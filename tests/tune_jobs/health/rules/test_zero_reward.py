"""Rule ``zero_reward``: sick and healthy runs, each threshold, warm-up and NaN."""

import math
from typing import Any

import numpy as np
import pytest
from health_runs import (
    Metrics,
    assert_needs_last,
    assert_starts_at,
    flat,
    from_row,
    history,
    seen,
    severity,
)

from tune_jobs.health.rules.zero_reward import ZeroReward

RULE = ZeroReward()


DEAD: Metrics = {
    "score": 0.0,
    "episodes": 20,
    "episode_length": 25,
    "rewarded_episode_fraction": 0.0,
}


def test_a_plateau_is_found():
    share: Metrics = {"zero_reward_fraction": from_row(4, 0.89, 0.5)}
    assert seen(RULE, 10, 27, **DEAD, **share) == ("warn", 4)
    assert seen(RULE, 15, 27, **DEAD, **share) == ("stop", 4)


@pytest.mark.parametrize(("zero", "found"), [(0.86, "warn"), (0.84, None), (0.55, None)])
def test_up_to_85_percent_of_unrewarded_steps_are_healthy(zero: float, found: Any):
    # 25 steps an episode: several of them rewarded, whatever the share.
    metrics: Metrics = {
        **DEAD,
        "zero_reward_fraction": zero,
        "rewarded_episode_fraction": 0.9,
    }
    assert (seen(RULE, 27, **metrics) or (None,))[0] == found


def test_rare_rewards_alone_never_end_a_run():
    # One episode in six is rewarded by chance, and that share is flat.
    metrics: Metrics = {
        **DEAD,
        "score": flat(60, 0.17, 0.03),
        "zero_reward_fraction": 0.99,
    }
    rare: Metrics = {**metrics, "rewarded_episode_fraction": flat(60, 0.17, 0.03, seed=1)}
    found = [seen(RULE, n, 60, **rare) for n in range(15, 61)]
    assert set(found) == {("warn", 1)}
    assert seen(RULE, 60, **metrics) == ("stop", 1)


def test_a_rising_share_of_rewarded_episodes_is_a_note():
    metrics: Metrics = {**DEAD, "zero_reward_fraction": 0.99}
    shares = [0.0] * 15 + np.linspace(0.02, 0.3, 15).tolist()
    metrics |= {"rewarded_episode_fraction": shares}
    assert seen(RULE, 30, 60, **metrics) == ("note", 1)
    assert seen(RULE, 18, 60, **metrics) == ("warn", 1)


def test_without_a_count_of_rewarded_episodes_it_warns():
    metrics = {n: curve for n, curve in DEAD.items() if n != "rewarded_episode_fraction"}
    assert seen(RULE, 27, **metrics, zero_reward_fraction=1.0) == ("warn", 1)


def test_a_sparse_reward_found_late_is_never_stopped():
    # Nothing until 30 % of the budget, as in healthy runs on sparse tasks.
    n = 100
    share = [1.0] * 30 + np.linspace(0.99, 0.6, n - 30).tolist()
    score = [0.0] * 30 + np.linspace(0.02, 1.0, n - 30).tolist()
    metrics: Metrics = {"episodes": 20.0, "episode_length": 200.0}
    found = [
        seen(RULE, end, n, zero_reward_fraction=share, score=score, **metrics)
        for end in range(1, n + 1)
    ]
    assert set(found) == {None, ("note", 1), ("warn", 1)}
    assert set(found[60:]) == {None}


def test_a_reward_paid_once_an_episode_is_no_more_than_a_note():
    metrics: Metrics = {
        **DEAD,
        "score": flat(100, 0.5, 0.05),
        "zero_reward_fraction": 0.96,
    }
    assert seen(RULE, 100, **metrics) == ("note", 1)
    assert seen(RULE, 100, **{**metrics, "zero_reward_fraction": 0.999}) == ("stop", 1)


def test_few_episodes_or_little_budget_are_too_early():
    share: Metrics = {"zero_reward_fraction": 1.0}
    assert seen(RULE, 20, 27, **{**DEAD, "episodes": 2}, **share) is None
    assert seen(RULE, 15, 100, **DEAD, **share) is None


def test_rows_without_the_share_are_left_out():
    share: Metrics = {"zero_reward_fraction": lambda i: math.nan if i % 2 else 1.0}
    assert seen(RULE, 27, **DEAD, **share) == ("stop", 24)
    assert seen(RULE, 27, **DEAD, zero_reward_fraction=math.nan) is None


def test_the_last_five_rows_must_all_be_sick():
    metrics: Metrics = {**DEAD, "score": flat(27, 0.0)}
    assert_needs_last(RULE, 5, "zero_reward_fraction", 1.0, 0.5, **metrics)


def test_it_waits_for_a_fifth_of_the_budget_and_50_episodes():
    zero: Metrics = {**DEAD, "zero_reward_fraction": 1.0}
    assert_starts_at(RULE, 20, 100, **zero)
    assert severity(RULE, 20, 60, **{**zero, "episodes": 2.6}) == "warn"
    assert severity(RULE, 20, 60, **{**zero, "episodes": 2.4}) is None


def test_it_asks_for_a_stop_from_half_of_the_budget():
    zero: Metrics = {**DEAD, "zero_reward_fraction": 1.0}
    assert severity(RULE, 49, 100, **zero) == "warn"
    assert severity(RULE, 50, 100, **zero) == "stop"


def test_the_rule_judges_from_as_many_episodes_as_it_asks_for():
    metrics: Metrics = {**DEAD, "episodes": RULE.episodes / 20, "zero_reward_fraction": 1.0}
    assert seen(RULE, 20, 27, **metrics)
    assert seen(RULE, 19, 27, **metrics) is None


def test_evidence_says_how_many_episodes_were_rewarded_where_it_is_known():
    rewarded: Metrics = {**DEAD, "zero_reward_fraction": 1.0, "rewarded_episode_fraction": 0.0}
    found = RULE(history(30, **rewarded))
    assert found and "0% of the episodes had any reward" in found.evidence
    unknown = RULE(history(30, **{**rewarded, "rewarded_episode_fraction": math.nan}))
    assert unknown and "of the episodes" not in unknown.evidence
