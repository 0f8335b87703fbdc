"""Rule ``frozen_policy``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, assert_starts_at, flat, from_row, history, rising, seen, severity

from tune_jobs.health.rules.policy_steps import FrozenPolicy

RULE = FrozenPolicy()


STILL: Metrics = {
    "kl": 1e-9,
    "clip_fraction": 0.0,
    "entropy": lambda i: 1.38 + 1e-4 * (i % 3),
}


def test_a_frozen_policy_is_found_early():
    finding = RULE(history(7, 27, score=flat(7), lr=1e-12, **STILL))
    assert finding
    assert (finding.severity, finding.since) == ("stop", 1)
    assert "learning rate 1e-12" in finding.evidence


def test_a_kl_of_zero_counts_only_with_a_clip_fraction():
    metrics: Metrics = {**STILL, "score": flat(30)}
    assert seen(RULE, 30, **{**metrics, "kl": 0.0}) == ("stop", 1)
    del metrics["clip_fraction"]
    assert seen(RULE, 30, **{**metrics, "kl": 0.0}) is None


def test_without_kl_a_constant_entropy_is_warned_about():
    assert seen(RULE, 30, score=flat(30), entropy=1.38) == ("warn", 1)
    assert seen(RULE, 30, score=flat(30), kl=0.0, entropy=1.38) == ("warn", 1)


@pytest.mark.parametrize(("reward", "found"), [(0.0, None), (1.0, ("stop", 1))])
def test_steps_that_are_never_paid_move_nothing(reward, found):
    metrics: Metrics = {**STILL, "score": math.nan, "episodes": 0, "reward_abs_max": reward}
    assert seen(RULE, 30, **metrics) == found


def test_converged_kl_of_zero_at_the_end_is_healthy():
    metrics: Metrics = {"kl": from_row(20, 0.0, 0.01), "clip_fraction": from_row(20, 0.0, 0.1)}
    metrics["entropy"] = lambda i: max(1.4 - 0.07 * i, 0.0)
    assert seen(RULE, 200, score=[*rising(20), *([1.0] * 180)], **metrics) is None
    assert seen(RULE, 200, score=flat(200), **metrics) is None


def test_a_learning_rate_that_warms_up_is_healthy():
    metrics: Metrics = {**STILL, "kl": from_row(20, 0.01, 1e-9), "score": flat(300)}
    for n in range(1, 301):
        assert seen(RULE, n, 300, **metrics) is None


def test_a_policy_that_no_return_could_move_is_not_frozen():
    assert seen(RULE, 30, score=-200.0, return_mean=-200.0, **STILL) is None
    # The goal is found in row 40, and from then on something could have moved the policy.
    returns = [-200.0] * 40 + flat(60, -200.0)
    found: Metrics = {**STILL, "score": returns, "return_mean": returns}
    assert seen(RULE, 40, 100, **found) is None
    assert seen(RULE, 100, 100, **found) == ("stop", 1)


def test_a_single_spread_is_no_evidence_when_the_score_rises():
    assert seen(RULE, 30, score=rising(30), entropy=1.38) is None


def test_rows_without_the_entropy_are_left_out():
    assert seen(RULE, 30, score=flat(30), entropy=math.nan, kl=1e-9) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kl": 0.95e-6}, "stop"),
        ({"kl": 1.05e-6}, None),
        ({"clip_fraction": 0.95e-3}, "stop"),
        ({"clip_fraction": 1.05e-3}, None),
        ({"entropy": lambda i: 1.38 * (1 - 0.0095 * (i % 2))}, "stop"),
        ({"entropy": lambda i: 1.38 * (1 - 0.0105 * (i % 2))}, None),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    metrics: Metrics = {"score": flat(30), **STILL, **change}
    assert severity(RULE, 30, **metrics) == expected


@pytest.mark.parametrize(("nats", "expected"), [(0.95e-5, "warn"), (1.05e-5, None)])
def test_without_kl_the_entropy_may_move_by_1e_5_nats(nats: float, expected: str | None):
    entropy: Metrics = {"entropy": lambda i: 1.38 + nats * (i % 2)}
    assert severity(RULE, 30, score=flat(30), **entropy) == expected


def test_it_waits_for_seven_rows_and_a_tenth_of_the_budget():
    assert_starts_at(RULE, 7, 27, score=flat(27), **STILL)
    assert_starts_at(RULE, 10, 100, score=flat(100), **STILL)


def test_kl_is_compared_in_the_first_quarter_and_at_the_end():
    kl = [1e-9] * 10 + [0.01] * 27 + [1e-9] * 3
    metrics: Metrics = {**STILL, "kl": kl, "score": flat(40)}
    assert seen(RULE, 40, **metrics) == ("stop", 1)


def test_the_entropy_counts_from_the_second_row_on():
    """The first update may move a policy that nothing moves afterwards, and the second not."""
    for first, expected in ((2, ("stop", 1)), (3, None)):
        entropy: Metrics = {"entropy": from_row(first, 1.38, 2.0)}
        assert seen(RULE, 30, score=flat(30), **{**STILL, **entropy}) == expected
