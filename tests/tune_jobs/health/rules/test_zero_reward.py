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

from tune_jobs.health.diagnosis import find_disproved
from tune_jobs.health.rules.rewards import ZeroReward

RULE = ZeroReward()


DEAD: Metrics = {
    "score": 0.0,
    "episodes": 20,
    "episode_length": 25,
    "rewarded_episode_fraction": 0.0,
}


def test_a_plateau_is_found():
    share: Metrics = {"zero_reward_fraction": from_row(4, 0.99, 0.5)}
    assert seen(RULE, 10, 27, **DEAD, **share) == ("warn", 4)
    assert seen(RULE, 15, 27, **DEAD, **share) == ("stop", 4)


@pytest.mark.parametrize(("zero", "found"), [(0.86, "warn"), (0.84, None), (0.55, None)])
def test_up_to_85_percent_of_unrewarded_steps_are_healthy(zero: float, found: Any):
    metrics: Metrics = {**DEAD, "zero_reward_fraction": zero}
    # Where the length of episodes is not known, the fraction of steps decides alone.
    metrics["episode_length"] = math.nan
    assert severity(RULE, 12, 27, **metrics) == found


@pytest.mark.parametrize(
    ("steps", "rewards", "found"),
    [(7, 1.0, None), (200, 5.0, None), (25, 0.5, None), (25, 0.49, "note"), (25, 0.04, "warn")],
)
def test_the_number_of_rewards_per_episode_decides(steps: int, rewards: float, found: Any):
    metrics: Metrics = {
        **DEAD,
        "episode_length": steps,
        "zero_reward_fraction": 1 - rewards / steps,
        "rewarded_episode_fraction": min(1.0, rewards),
    }
    assert severity(RULE, 27, **metrics) == found


def test_rare_rewards_alone_never_end_a_run():
    # A few episodes are rewarded by chance, and their share is flat.
    metrics: Metrics = {**DEAD, "score": flat(60, 0.03, 0.01), "zero_reward_fraction": 0.999}
    rare: Metrics = {**metrics, "rewarded_episode_fraction": flat(60, 0.03, 0.005, seed=1)}
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
    assert set(found) == {None, ("warn", 1)}
    assert set(found[60:]) == {None}


def paid_at_the_end(n: int, found_at: int) -> Metrics:
    """Seven steps, the last of which may be paid: 86 % without a reward at the optimum."""
    fraction = [0.02] * found_at + np.linspace(0.02, 1.0, 8).tolist()
    fraction += [1.0] * (n - len(fraction))
    zeros = [1 - share / 7 for share in fraction]
    return {
        **DEAD,
        "episodes": 290,
        "episode_length": 7,
        "score": fraction,
        "zero_reward_fraction": zeros,
        "rewarded_episode_fraction": fraction,
    }


def test_a_finding_is_withdrawn_where_most_episodes_are_paid_at_last():
    run = paid_at_the_end(60, 48)
    assert severity(RULE, 48, 60, **run) == "warn"
    withdrawn = [n for n in range(1, 61) if find_disproved(["zero_reward"], history(n, 60, **run))]
    assert withdrawn
    assert withdrawn == list(range(withdrawn[0], 61))
    # Long before the score of a run that was flat for most of it has improved.
    assert not history(withdrawn[0], 40, **run).improved


def test_a_finding_stays_where_nothing_is_paid():
    assert not find_disproved(["zero_reward"], history(40, **{**DEAD, "zero_reward_fraction": 1.0}))
    unknown: Metrics = {**DEAD, "zero_reward_fraction": from_row(20, math.nan, 1.0)}
    assert not find_disproved(["zero_reward"], history(40, **unknown))


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
