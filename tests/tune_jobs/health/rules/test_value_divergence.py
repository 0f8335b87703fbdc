"""Rule ``value_divergence``: sick and healthy runs, each threshold, warm-up and NaN."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from health_runs import Case, Metrics, case, cases, flat, from_row, history, rising

from tune_jobs.health.rules.values import ValueDivergence

RULE = ValueDivergence()
TARGETS: Metrics = {"value_loss": 1.0, "target_abs_max": 5.0}
EXPLODING: Metrics = {"value_loss": lambda i: 0.1 * 2.0**i}
RETURNS = [100 * r for r in rising(27, 0.2)]
ENDS: Metrics = {
    "value_loss": lambda i: 10.0 * i,
    "value_abs_max": 20.0,
    "reward_abs_max": 1.0,
    "episode_length": 20.0,
    "running_length_max": 60.0,
    "truncated_fraction": 0.0,
}
SICK: Metrics = {**ENDS, "target_abs_max": lambda i: 30.0 * i}


def growing(growth: float, end: float = 1.01) -> Metrics:
    """A loss whose last third is this many times the first, and grows on."""
    loss = [1.0] * 20 + np.linspace(growth, end * growth, 10).tolist()
    return {"value_loss": loss, "return_mean": 1.0}


def runs(*rows: tuple[Any, Metrics], base: Metrics | None = None, **options: Any) -> list[Case]:
    return cases("value_divergence", base or {}, *rows, **options)


CASES = [
    *runs(
        # Values that leave their targets behind, unlike large ones that stay where they are.
        (("stop", 6), {**TARGETS, "value_abs_max": lambda i: 5.0 * 1.5**i}),
        (None, {**TARGETS, "value_abs_max": 90.0}),
        # An error that explodes is found in any log, and a loss that begins at 0 has no growth.
        (("stop", 12), EXPLODING),
        (None, {"value_loss": lambda i: 0.0 if i <= 2 else 2.0**i}),
        # A loss over the square of infinity would be no loss at all.
        (("stop", 12), {**EXPLODING, "return_mean": lambda i: -math.inf if i == 3 else 1.0}),
        # A value loss that grows with the returns, and a leap that is over, are healthy.
        (None, {"return_mean": lambda i: 2.0**i, "value_loss": lambda i: 4.0**i}),
        (None, {"return_mean": 20.0, "value_loss": lambda i: 90.0 - i if i > 9 else 1.0}),
        (None, {**TARGETS, "value_abs_max": lambda i: 60.0 * 1.3 ** min(i, 19)}),
    ),
    *runs(
        (None, {"return_mean": lambda i: 10.0 * i, "value_loss": lambda i: 1e-3 * (10.0 * i) ** 2}),
        n=60,
    ),
    *runs(
        (
            None,
            {
                "return_mean": from_row(10, 1.0, 0.0),
                "value_loss": lambda i: 0.01 * i if i >= 10 else 1e-9,
            },
        ),
        n=40,
    ),
    *runs(
        (None, growing(25.0, 1.1)),
        ("warn", growing(40.0, 1.1)),
        ("warn", growing(250.0, 1.1)),
        (None, growing(28.0)),
        ("warn", growing(32.0)),
        ("warn", growing(970.0)),
        ("stop", growing(1020.0)),
        # A last tenth that is exactly as many times the first as the threshold, and does not grow.
        (None, {"value_loss": [1.0] * 20 + [RULE.explosion] * 10}),
        ("stop", {"value_loss": [1.0] * 20 + [1.01 * RULE.explosion] * 10}),
        n=30,
    ),
    # A run that learns or is early is healthy, unless its values diverge.
    case("value_divergence", None, EXPLODING, score=rising),
    case("value_divergence", None, EXPLODING, 7, 81),
    *runs(
        (("warn", 21), {"value_loss": lambda i: 0.1 * 1.6**i}),
        (None, {"value_loss": lambda i: 0.1 * 1.2**i}),
        base={"return_mean": RETURNS},
        score=RETURNS,
    ),
    # Targets beyond any possible return are found while values still lag behind them.
    *runs(
        (("stop", 5), {}),
        (None, {"target_abs_max": 61.0}),  # possible
        (None, {"target_abs_max": 600.0}),  # constant
        (None, {"truncated_fraction": 0.3}),
        (None, {"return_max": 900.0}),  # earned
        (None, {"reward_abs_max": math.nan}),
        # They may reach twice the largest return, and values ten times their targets.
        ("stop", {"target_abs_max": lambda i: 60 * 2.1 * (1 + 1e-4 * i)}),
        (None, {"target_abs_max": lambda i: 60 * 1.9 * (1 + 1e-4 * i)}),
        base=SICK,
    ),
    case("value_divergence", None, SICK, 60, score=rising),
    *runs(
        *(
            (expected, {"value_abs_max": lambda i, ratio=ratio: ratio * 5 * 1.01**i})
            for ratio, expected in ((10.5, "stop"), (9.5, None))
        ),
        base={"value_loss": 1.0, "target_abs_max": lambda i: 5 * 1.01**i},
    ),
    # The last eight rows must all be sick.
    *runs(
        *(
            (expected, {"value_abs_max": lambda i, rows=rows: 5.0 * i if i > 27 - rows else 5.0})
            for rows, expected in ((8, "stop"), (7, None))
        ),
        base=TARGETS,
    ),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


def test_the_evidence_names_the_largest_possible_return():
    finding = RULE(history(27, score=flat(27), **SICK))
    assert finding and "times the largest possible return and grow" in finding.evidence


def test_the_loss_of_standardised_values_is_judged_as_it_is():
    # Relative to returns that rise a thousandfold, the same loss would seem to shrink.
    metrics: Metrics = {"return_mean": lambda i: 1.3**i, "value_loss": lambda i: 0.1 * 1.6**i}
    seen_by = history(27, score=flat(27), **metrics)
    assert RULE(seen_by) is None
    assert RULE(dataclasses.replace(seen_by, settings={"normalise_values": True}))
