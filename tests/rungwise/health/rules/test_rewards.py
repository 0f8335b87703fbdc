"""Rules about rewards and success: sick and healthy runs, each threshold, warm-up and NaN."""

import math
from typing import Any

import numpy as np
import pytest
from health_runs import (
    Case,
    Metrics,
    case,
    cases,
    flat,
    from_row,
    history,
    rising,
    scores_with_tau,
    seen,
    severity,
)
from rule_checks import assert_evidence, assert_needs_last, assert_starts_at

from rungwise.health import RULES
from rungwise.health.diagnosis import find_disproved
from rungwise.health.rules.rewards import ZeroReward

NAN = math.nan
DEAD: Metrics = {
    "score": 0.0,
    "episodes": 20,
    "episode_length": 25,
    "rewarded_episode_fraction": 0.0,
}
ZERO: Metrics = {**DEAD, "zero_reward_fraction": 1.0}
PLATEAU: Metrics = {**DEAD, "zero_reward_fraction": from_row(4, 0.99, 0.5)}
MORE_AND_MORE: Metrics = {
    **{**DEAD, "zero_reward_fraction": 0.99},
    "rewarded_episode_fraction": [0.0] * 15 + np.linspace(0.02, 0.3, 15).tolist(),
}
RARE: Metrics = {**DEAD, "score": flat(60, 0.03, 0.01), "zero_reward_fraction": 0.999}


def falling(n: int, high: float = 0.8, low: float = 0.4) -> list[float]:
    """A success rate: kept for a tenth of the rows, then it falls within another tenth."""
    t = np.clip(10 * np.arange(n) / n - 1, 0, 1)
    noise = np.random.default_rng(2).normal(0, 0.04, n)
    return np.clip(high + (low - high) * t + noise, 0, 1).tolist()


def stepped(before: float, after: float, rows: int = 60, noise: float = 0.0) -> list[float]:
    """One level for 20 rows (a third of fewer), then another, with a noise that alternates."""
    first = min(20, rows // 3)
    levels = [before] * first + [after] * (rows - first)
    return [level + noise * (-1) ** i for i, level in enumerate(levels)]


RETURNS: Metrics = {"episodes": 30, "return_mean": rising(60, 1, 4)}
DOUBLED: Metrics = {"episodes": 30, "return_mean": stepped(10, 20)}
LEARNT_AND_LOST = [*np.linspace(0.1, 0.8, 20), *np.linspace(0.8, 0.1, 20), *[0.1] * 20]


def success(*rows: tuple[Any, list[float]], base: Metrics = RETURNS, **options: Any) -> list[Case]:
    """Runs of the rule reward_hacking: expected severity and success rate of each."""
    changes = ((expected, {"success_rate": rate}) for expected, rate in rows)
    return cases("reward_hacking", base, *changes, score=None, **options)


SAME: Metrics = {"return_mean": -200.0, "episodes": 5, "score": -200.0}
UNCOUNTED: Metrics = {"success_rate": 0.0, "reward_std": 0.3}
WON: Metrics = {"return_mean": 0.0, "score": 0.0, "episodes": 20}
"""Self-play of zero sum: the mean over agents is 0 whatever they have learnt."""
SHAPED: Metrics = {"success_rate": 0.0, "episodes": 20, "reward_std": 0.3}

CASES = [
    case("zero_reward", ("warn", 4), PLATEAU, 10, 27, None),
    case("zero_reward", ("stop", 4), PLATEAU, 15, 27, None),
    # Where the length of episodes is not known, the fraction of steps decides alone.
    *cases(
        "zero_reward",
        {**DEAD, "episode_length": NAN},
        ("warn", {"zero_reward_fraction": 0.86}),
        (None, {"zero_reward_fraction": 0.84}),
        (None, {"zero_reward_fraction": 0.55}),
        n=12,
        budget=27,
        score=None,
    ),
    # Otherwise the number of rewards per episode does.
    *(
        case(
            "zero_reward",
            expected,
            {
                **{**DEAD, "episode_length": steps, "zero_reward_fraction": 1 - rewards / steps},
                "rewarded_episode_fraction": min(1.0, rewards),
            },
            score=None,
        )
        for steps, rewards, expected in (
            *((7, 1.0, None), (200, 5.0, None), (25, 0.5, None)),
            *((25, 0.49, "note"), (25, 0.04, "warn")),
        )
    ),
    # A rising share of rewarded episodes is a note; where these are not counted, it warns.
    case("zero_reward", ("note", 1), MORE_AND_MORE, 30, 60, None),
    case("zero_reward", ("warn", 1), MORE_AND_MORE, 18, 60, None),
    case(
        "zero_reward",
        ("warn", 1),
        {**ZERO, "rewarded_episode_fraction": lambda i: None},
        score=None,
    ),
    # A few episodes are rewarded by chance, and their share is flat: that never ends a run.
    *(
        case(
            "zero_reward",
            ("warn", 1),
            {**RARE, "rewarded_episode_fraction": flat(60, 0.03, 0.005, seed=1)},
            *(n, 60, None),
        )
        for n in range(15, 61)
    ),
    case("zero_reward", ("stop", 1), RARE, 60, score=None),
    # It waits for 50 episodes and a fifth of the budget, and stops from half of it.
    case("zero_reward", None, {**ZERO, "episodes": 2}, 20, 27, None),
    case("zero_reward", "warn", {**ZERO, "episodes": 2.6}, 20, 60, None),
    case("zero_reward", None, {**ZERO, "episodes": 2.4}, 20, 60, None),
    case("zero_reward", None, ZERO, 15, 100, None),
    case("zero_reward", "warn", ZERO, 49, 100, None),
    case("zero_reward", "stop", ZERO, 50, 100, None),
    # Rows without the share are left out.
    *cases(
        "zero_reward",
        DEAD,
        (("stop", 24), {"zero_reward_fraction": lambda i: NAN if i % 2 else 1.0}),
        (None, {"zero_reward_fraction": NAN}),
        score=None,
    ),
    # Success that falls, or was learnt and lost, while the return rises.
    *success(
        ("stop", falling(60, 0.8, 0.3)),
        ("stop", falling(60, 0.3, 0.0)),
        ("stop", LEARNT_AND_LOST),
        # Success that does not rise is found late.
        ("warn", flat(60, 0.3, 0.05)),
        ("warn", [0.89] * 60),
        (None, [0.91] * 60),
        ("warn", [0.3 * s for s in scores_with_tau(60, 0.19)]),
        (None, [0.3 * s for s in scores_with_tau(60, 0.21)]),
        n=60,
    ),
    # Where episodes became shorter, that may be all that is gained.
    *success(
        ("note", flat(60, 0.5, 0.05)),
        ("stop", falling(60, 0.8, 0.3)),
        n=60,
        base={**RETURNS, "episode_length": rising(60, 40, 9)},
    ),
    *success(
        ("warn", flat(60, 0.3, 0.05)), n=60, base={**RETURNS, "episode_length": flat(60, 40, 2)}
    ),
    *success(
        (None, flat(60, 0.3, 0.05)),
        n=30,
        budget=60,
        base={**RETURNS, "return_mean": rising(30, 1, 4)},
    ),
    *success(
        ("warn", falling(20)), n=20, budget=60, base={**RETURNS, "return_mean": rising(20, 1, 4)}
    ),
    # A fall of both is no hacking.
    *success((None, falling(60)), n=60, base={**RETURNS, "return_mean": rising(60, 4.0, 1.0)}),
    *success(
        ("warn", stepped(0.8, 0.55)),
        (None, stepped(0.8, 0.57)),
        ("warn", stepped(0.3, 0.19)),
        (None, stepped(0.3, 0.205)),
        ("warn", stepped(0.8, 0.5, noise=0.2)),
        (None, stepped(0.8, 0.5, noise=0.22)),
        n=60,
        budget=120,
        base=DOUBLED,
    ),
    *(
        case(
            "reward_hacking",
            expected,
            {"episodes": 30, "return_mean": stepped(10, after), "success_rate": stepped(0.8, 0.2)},
            *(60, 120, None),
        )
        for after, expected in ((10.55, "warn"), (10.5, None))
    ),
    # It stops late and only after a large fall.
    *success(
        ("stop", stepped(0.8, 0.47)), ("warn", stepped(0.8, 0.49)), n=60, budget=100, base=DOUBLED
    ),
    *success(("warn", stepped(0.8, 0.47)), n=59, budget=100, base=DOUBLED),
    # Rows without both metrics are left out.
    *success(
        ("stop", [NAN if i % 2 else value for i, value in enumerate(stepped(0.8, 0.2))]),
        (None, [NAN] * 60),
        n=60,
        base={"return_mean": stepped(10, 20)},
    ),
    case("constant_reward", ("warn", 1), SAME, 30, 100, None),
    case("constant_reward", "warn", SAME, 89, 100, None),
    case("constant_reward", ("stop", 1), SAME, 90, 100, None),
    # A log of others has only a moving average.
    case("constant_reward", ("stop", 1), {"score": 0.0, "return_mean_100": 0.0}, 60, score=None),
    *cases(
        "constant_reward",
        SAME,
        (None, {"return_mean": 0.0, "zero_reward_fraction": 1.0}),
        (None, {"return_mean": from_row(5, 500.0, 22.0)}),
        (None, {"return_mean": NAN}),
        ("stop", {"return_mean": lambda i: -200 * (1 + 0.95e-6 * (i % 2))}),
        (None, {"return_mean": lambda i: -200 * (1 + 1.05e-6 * (i % 2))}),
        n=60,
        score=None,
    ),
    # One reward at the goal: the way to it becomes shorter, or stays as long as it was.
    *cases(
        "constant_reward",
        {"return_mean": 1.0, "score": 1.0},
        (None, {"episode_length": lambda i: 20 + 400 * 0.9**i}),
        ("stop", {"episode_length": lambda i: 400 + i % 7}),
        ("stop", {"episode_length": lambda i: 20 + 4 * i}),
        (None, {"return_mean": -1.0, "score": -1.0, "episode_length": lambda i: 20 + 4 * i}),
        n=60,
        score=None,
    ),
    *cases(
        "no_improvement",
        {"return_mean": 1.0, "score": 1.0},
        (None, {"episode_length": lambda i: 20 + 400 * 0.9**i}),
        ("warn", {"episode_length": lambda i: 400 + i % 7}),
        n=60,
        score=None,
    ),
    case("constant_reward", "warn", SAME | {"episodes": 2.6}, 20, 60, None),
    # Returns that cancel differ, if by more than rounding.
    case("constant_reward", "stop", WON, 90, 100, None),
    case("constant_reward", None, WON | {"return_std": 1.0}, 90, 100, None),
    case("constant_reward", None, WON | {"return_min": -1.0, "return_max": 1.0}, 90, 100, None),
    case("constant_reward", "stop", SAME | {"return_std": 1e-12}, 90, 100, None),
    case("no_improvement", "note", WON, 90, 100, None),
    case("no_improvement", None, WON | {"return_std": 1.0}, 90, 100, None),
    case("constant_reward", None, SAME | {"episodes": 2.4}, 20, 60, None),
    # A budget of a few iterations: one return, or two, are always constant.
    case("constant_reward", None, {"return_mean": 30.0, "score": 30.0}, 2, score=None),
    case("constant_reward", "stop", {"return_mean": 30.0, "score": 30.0}, 3, score=None),
    case(
        "constant_reward",
        ("warn", 1),
        {**SAME, "episodes": 20, "score": 0.0, "return_mean": lambda i: -200.0 if i % 2 else NAN},
        *(10, 30, None),
    ),
    # A rising score without success only warns; one found late is healthy.
    case("no_success", None, SHAPED, 49, 100),
    case("no_success", ("warn", 1), SHAPED, 50, 100),
    case("no_success", "warn", SHAPED, 59, 100),
    case("no_success", ("warn", 1), SHAPED, 79, 100),
    case("no_success", ("stop", 1), SHAPED, 80, 100),
    case("no_success", ("warn", 1), SHAPED, 90, 100, rising),
    case("no_success", None, SHAPED | {"reward_std": 0.0, "return_mean": -50.0}, 90, 100),
    case("no_success", ("stop", 1), {"success_rate": 0.0, "return_mean_100": flat(120)}, 120),
    # Where episodes are not counted, rows are.
    case("no_success", ("warn", 1), UNCOUNTED, 30, 40),
    case("no_success", None, UNCOUNTED, 29, 40),
    case("no_success", None, UNCOUNTED | {"success_rate": from_row(11, 0.0, NAN)}, 39, 60),
    case("no_success", None, SHAPED | {"success_rate": NAN}, 90, 100),
    case("no_success", "stop", SHAPED | {"episodes": 1.3}, 80, 100),
    case("no_success", None, SHAPED | {"episodes": 1.2}, 80, 100),
    *(
        case("no_success", None, SHAPED | {"success_rate": from_row(42, 0.1, 0.0)}, n, 100)
        for n in range(42, 101, 3)
    ),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


def test_a_sparse_reward_found_late_is_never_stopped():
    # Nothing until 30 % of the budget, as in healthy runs on sparse tasks.
    n = 100
    share = [1.0] * 30 + np.linspace(0.99, 0.6, n - 30).tolist()
    score = [0.0] * 30 + np.linspace(0.02, 1.0, n - 30).tolist()
    metrics: Metrics = {"episodes": 20.0, "episode_length": 200.0, "zero_reward_fraction": share}
    rule = RULES["zero_reward"]
    found = [seen(rule, end, n, score=score, **metrics) for end in range(1, n + 1)]
    assert set(found) == {None, ("warn", 1)}
    assert set(found[60:]) == {None}


def paid_at_the_end(n: int, found_at: int) -> Metrics:
    """Seven steps, the last of which may be paid: 86 % without a reward at the optimum."""
    fraction = [0.02] * found_at + np.linspace(0.02, 1.0, 8).tolist()
    fraction += [1.0] * (n - len(fraction))
    zeros = [1 - share / 7 for share in fraction]
    return {
        **{"episodes": 290, "episode_length": 7, "score": fraction},
        **{"zero_reward_fraction": zeros, "rewarded_episode_fraction": fraction},
    }


def test_a_finding_is_withdrawn_where_most_episodes_are_paid_at_last():
    run = paid_at_the_end(60, 48)
    assert severity(RULES["zero_reward"], 48, 60, **run) == "warn"
    withdrawn = [
        n for n in range(1, 61) if find_disproved([("zero_reward", "warn")], history(n, 60, **run))
    ]
    assert withdrawn
    assert withdrawn == list(range(withdrawn[0], 61))
    # Long before the score of a run that was flat for most of it has improved.
    assert not history(withdrawn[0], 40, **run).progress.improved


def test_a_finding_stays_where_nothing_is_paid():
    for share in (1.0, from_row(20, NAN, 1.0)):
        run = history(40, **{**DEAD, "zero_reward_fraction": share})
        assert not find_disproved([("zero_reward", "warn")], run)


def test_all_of_the_last_rows_must_be_sick():
    assert_needs_last("zero_reward", 5, "zero_reward_fraction", 1.0, 0.5, **DEAD)


def test_the_evidence_has_the_fractions():
    hacked = {**RETURNS, "success_rate": falling(60)}
    assert_evidence("zero_reward", "0% of the episodes had any reward", **ZERO)
    assert_evidence("reward_hacking", "from 76% to 41%", **hacked)


def test_the_evidence_is_silent_about_episodes_that_are_not_counted():
    unknown = RULES["zero_reward"](history(30, **{**ZERO, "rewarded_episode_fraction": NAN}))
    assert unknown and "of the episodes" not in unknown.evidence


@pytest.mark.parametrize(
    ("rate", "why"),
    [
        (rising(60, 0.1, 0.9), "success rises with the return"),
        ([*flat(25, 0.1, 0.03), *rising(35, 0.1, 0.8)], "success rises later"),
        (flat(60, 0.97, 0.02), "success cannot rise further"),
        ([0.3, *np.zeros(4), *rising(55, 0.0, 0.7)], "a lucky start"),
        ([0.0] * 60, "nothing ever succeeded: no_success reports it"),
        (rising(60, 76, 41), "in percent, or goals that are counted"),
        ([1.0000001] * 60, "a rounded mean"),
    ],
)
def test_healthy_courses_of_success_are_silent(rate: list[float], why: str):
    for n in range(8, 61):
        run = history(n, 60, **RETURNS, success_rate=list(map(float, rate)))
        assert RULES["reward_hacking"](run) is None, why


def test_a_rare_success_has_not_fallen():
    rate = (np.random.default_rng(3).binomial(30, 0.02, 60) / 30).tolist()
    run: Metrics = {**RETURNS, "success_rate": rate}
    found = [severity(RULES["reward_hacking"], n, 60, **run) for n in range(61)]
    assert found[:36] == [None] * 36
    assert set(found[36:]) <= {"warn", None}


def test_hacking_and_no_success_exclude_each_other():
    for rate in ([0.0] * 60, falling(60, 0.8, 0.0), falling(60)):
        run = history(60, **RETURNS, score=rising(60, 1, 4), success_rate=rate, reward_std=1.0)
        assert (RULES["reward_hacking"](run) is None) != (RULES["no_success"](run) is None)


def test_a_rule_waits_for_rows_and_budget():
    few = {**ZERO, "episodes": ZeroReward.episodes / 20}
    assert_starts_at("zero_reward", 20, 100, **ZERO)
    assert_starts_at("zero_reward", 20, 27, **few)
    for rows, budget in ((15, 45), (20, 100)):
        hacked = {"success_rate": stepped(0.8, 0.2, rows), "return_mean": stepped(10, 20, rows)}
        assert_starts_at("reward_hacking", rows, budget, **hacked)
    assert_starts_at("reward_hacking", 60, 100, **RETURNS, success_rate=0.3)
    assert_starts_at("constant_reward", 10, 30, **SAME | {"episodes": 20})
    assert_starts_at("constant_reward", 20, 100, **SAME | {"episodes": 20})


def test_a_late_goal_is_never_stopped():
    late: Metrics = {**SAME, "return_mean": from_row(41, -120.0, -200.0)}
    found = {severity(RULES["constant_reward"], n, 100, **late) for n in range(1, 101)}
    assert found == {"warn", None}
