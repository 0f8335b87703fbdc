"""Rule ``kl_runaway``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, flat, from_row, rising, scores_with_tau, seen, severity

from tune_jobs.health.rules.policy_steps import KlRunaway

RULE = KlRunaway()


def test_a_jump_is_found_at_once():
    kl: Metrics = {"kl": from_row(4, 14.2, 0.02), "score": flat(4)}
    assert seen(RULE, 4, 27, **kl) == ("stop", 4)
    assert seen(RULE, 4, 27, kl=from_row(4, math.inf, 0.02)) == ("stop", 4)


def test_three_large_ones_are_warned_about():
    kl: Metrics = {"kl": lambda i: 0.7 if i in (18, 20, 21) else 0.02}
    assert seen(RULE, 22, score=flat(22), **kl) == ("warn", 18)
    assert seen(RULE, 20, score=flat(20), **kl) is None


def test_a_median_above_a_tenth_is_warned_about():
    assert seen(RULE, 30, score=flat(30), kl=from_row(11, 0.15, 0.01)) == ("warn", 11)


def test_a_high_median_is_healthy_while_the_score_rises():
    assert seen(RULE, 30, score=rising(30), kl=0.37) is None


def test_the_worst_healthy_kl_is_healthy():
    kl: Metrics = {"kl": lambda i: 0.18 if i % 5 == 0 else 0.022}
    assert seen(RULE, 60, score=flat(60), **kl) is None


def test_a_run_that_improves_in_spite_of_it_is_not_stopped():
    assert seen(RULE, 60, score=rising(60), kl=12.0) == ("warn", 1)


def test_nan_is_left_out():
    assert seen(RULE, 60, score=flat(60), kl=math.nan) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kl": from_row(22, 10.5, 0.02)}, "stop"),
        ({"kl": from_row(22, 9.5, 0.02)}, None),
        ({"kl": lambda i: 0.52 if i in (18, 20, 21) else 0.02}, "warn"),
        ({"kl": lambda i: 0.48 if i in (18, 20, 21) else 0.02}, None),
        ({"kl": lambda i: 0.52 if i in (13, 20, 21) else 0.02}, "warn"),
        ({"kl": lambda i: 0.52 if i in (12, 20, 21) else 0.02}, None),
        ({"kl": 0.105}, "warn"),
        ({"kl": 0.095}, None),
        ({"kl": 0.15, "score": scores_with_tau(22, 0.18)}, "warn"),
        ({"kl": 0.15, "score": scores_with_tau(22, 0.22)}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(22), **change}
    assert severity(RULE, 22, **metrics) == expected


def test_two_first_updates_that_end_all_learning_are_found():
    """CartPole at a learning rate of .1: the policy is deterministic after them."""
    kl: Metrics = {"kl": lambda i: {1: 1.66, 2: 3.09}.get(i, 0.0), "score": [22.5, 11.3, 9.3]}
    assert seen(RULE, 3, 40, **kl) == ("warn", 1)
    assert seen(RULE, 2, 40, **kl) is None


@pytest.mark.parametrize(("first", "expected"), [(0.48, None), (0.52, ("warn", 1))])
def test_the_median_of_few_updates_has_a_higher_limit(first, expected):
    kl = [first, first, 0.0]
    assert seen(RULE, 3, 40, score=[1.0] * 3, kl=kl) == expected


def test_pairs_are_judged_by_the_jump_alone():
    """Two healthy runs of DPO on CausalLearning have medians of .6 and .7."""
    pairs: Metrics = {"pair_accuracy": 0.8, "score": flat(22)}
    assert seen(RULE, 22, kl=0.8, **pairs) is None
    assert seen(RULE, 22, kl=from_row(22, 10.5, 0.8), **pairs) == ("stop", 22)


def test_the_first_updates_of_a_healthy_run_are_no_finding():
    """They move a policy furthest: the KL of a healthy run of DPO after a warm start."""
    kl = [0.14, 0.089, 0.106, 0.058, 0.293, 0.028, 0.131, 0.028, 0.011, 0.012, 0.007, 0.057]
    for rows in range(1, len(kl) + 1):
        assert seen(RULE, rows, 400, score=flat(rows), kl=kl[:rows]) is None
    assert seen(RULE, 10, 400, score=flat(10), kl=0.15) == ("warn", 1)
