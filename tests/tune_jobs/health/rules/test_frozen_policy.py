"""Rule ``frozen_policy``: sick and healthy runs, each threshold, warm-up and NaN."""

import math
from typing import Any

import pytest
from health_runs import (
    Case,
    Metrics,
    assert_starts_at,
    case,
    cases,
    flat,
    from_row,
    history,
    rising,
)

from tune_jobs.health.rules.policy_steps import FrozenPolicy

RULE = FrozenPolicy()
STILL: Metrics = {
    "kl": 1e-9,
    "clip_fraction": 0.0,
    "entropy": lambda i: 1.38 + 1e-4 * (i % 3),
}
CONVERGED: Metrics = {
    "kl": from_row(20, 0.0, 0.01),
    "clip_fraction": from_row(20, 0.0, 0.1),
    "entropy": lambda i: max(1.4 - 0.07 * i, 0.0),
}
UNPAID: Metrics = {**STILL, "episodes": 0}
# The goal is found in row 40, and from then on something could have moved the policy.
FOUND = [-200.0] * 40 + flat(60, -200.0)


def runs(*rows: tuple[Any, Metrics], base: Metrics, **options: Any) -> list[Case]:
    return cases("frozen_policy", base, *rows, **options)


CASES = [
    *runs(
        # A KL of zero counts only with a clip fraction.
        (("stop", 1), {"kl": 0.0}),
        (None, {"kl": 0.0, "clip_fraction": lambda i: None}),
        ("stop", {"kl": 0.95e-6}),
        (None, {"kl": 1.05e-6}),
        ("stop", {"clip_fraction": 0.95e-3}),
        (None, {"clip_fraction": 1.05e-3}),
        ("stop", {"entropy": lambda i: 1.38 * (1 - 0.0095 * (i % 2))}),
        (None, {"entropy": lambda i: 1.38 * (1 - 0.0105 * (i % 2))}),
        # The first update may move a policy that nothing moves afterwards, and the second not.
        (("stop", 1), {"entropy": from_row(2, 1.38, 2.0)}),
        (None, {"entropy": from_row(3, 1.38, 2.0)}),
        base=STILL,
        n=30,
    ),
    *runs(
        # Without KL a constant entropy is warned about; it may move by 1e-5 nats.
        (("warn", 1), {"entropy": 1.38}),
        (("warn", 1), {"entropy": 1.38, "kl": 0.0}),
        ("warn", {"entropy": lambda i: 1.38 + 0.95e-5 * (i % 2)}),
        (None, {"entropy": lambda i: 1.38 + 1.05e-5 * (i % 2)}),
        (None, {"entropy": math.nan, "kl": 1e-9}),
        base={},
        n=30,
    ),
    # A single spread is no evidence when the score rises.
    case("frozen_policy", None, {"entropy": 1.38}, 30, score=rising),
    # Steps that are never paid move nothing, nor do returns that never differ.
    case("frozen_policy", None, {**UNPAID, "reward_abs_max": 0.0}, 30, score=math.nan),
    case("frozen_policy", ("stop", 1), {**UNPAID, "reward_abs_max": 1.0}, 30, score=math.nan),
    case("frozen_policy", None, {**STILL, "return_mean": -200.0}, 30, score=-200.0),
    case("frozen_policy", None, {**STILL, "return_mean": FOUND}, 40, 100, FOUND),
    case("frozen_policy", ("stop", 1), {**STILL, "return_mean": FOUND}, 100, 100, FOUND),
    # A KL of zero at the end, and a learning rate that warms up, are healthy.
    case("frozen_policy", None, CONVERGED, 200, score=[*rising(20), *([1.0] * 180)]),
    case("frozen_policy", None, CONVERGED, 200),
    *(
        case("frozen_policy", None, {**STILL, "kl": from_row(20, 0.01, 1e-9)}, n, 300)
        for n in range(1, 301)
    ),
    # KL is compared in the first quarter and at the end.
    *runs(
        (("stop", 1), {"kl": [1e-9] * 10 + [0.01] * 27 + [1e-9] * 3}),
        base=STILL,
        n=40,
    ),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


def test_a_frozen_policy_is_found_early():
    finding = RULE(history(7, 27, score=flat(7), lr=1e-12, **STILL))
    assert finding
    assert (finding.severity, finding.since) == ("stop", 1)
    assert "learning rate 1e-12" in finding.evidence


def test_it_waits_for_seven_rows_and_a_tenth_of_the_budget():
    assert_starts_at(RULE, 7, 27, score=flat(27), **STILL)
    assert_starts_at(RULE, 10, 100, score=flat(100), **STILL)
