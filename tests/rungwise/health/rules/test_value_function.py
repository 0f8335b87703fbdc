"""Rules about values: sick and healthy runs, each threshold, warm-up and NaN."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from health_runs import Case, Metrics, case, cases, flat, from_row, history, rising, scores_with_tau
from rule_checks import assert_evidence, assert_judges_median, assert_skips_nan, assert_starts_at

from rungwise.health import RULES
from rungwise.health.rules.value_function import ValueDivergence

NAN = math.nan
NOISE: Metrics = {"explained_variance": flat(60, 0.0, 0.01), "value_loss": 1.0}
LARGE: Metrics = {"target_abs_max": 5e4, "value_loss": 1e8, "explained_variance": 0.0}
TINY: Metrics = {"explained_variance": 0.0, "value_loss": 1e-9, "return_mean": 1e-5}

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


def exploding(row: int, rows: int, size: float = -4e14) -> Any:
    """An explained variance of this size in some rows, otherwise that of a good critic."""
    return lambda i: size if row <= i < row + rows else 0.8


def growing(growth: float, end: float = 1.01) -> Metrics:
    """A loss whose last third is this many times the first, and grows on."""
    loss = [1.0] * 20 + np.linspace(growth, end * growth, 10).tolist()
    return {"value_loss": loss, "return_mean": 1.0}


def value_divergence(
    *rows: tuple[Any, Metrics], base: Metrics | None = None, **options: Any
) -> list[Case]:
    return cases("value_divergence", base or {}, *rows, **options)


CASES = [
    # A critic that sometimes explains is healthy; what it explained at first does not count.
    *cases(
        "low_explained_variance",
        {"value_loss": 1.0},
        (("stop", 1), NOISE),
        (None, {"explained_variance": lambda i: 0.5 if i % 4 == 0 else 0.0}),
        (None, {"explained_variance": lambda i: 0.0 if i % 4 == 0 else NAN}),
        ("stop", {"explained_variance": 0.045}),
        (None, {"explained_variance": 0.055}),
        ("stop", {"explained_variance": lambda i: 0.0 if i % 5 else 0.19}),
        (None, {"explained_variance": lambda i: 0.0 if i % 5 else 0.21}),
        ("stop", {"explained_variance": from_row(21, 0.0, 0.9)}),
        n=60,
    ),
    *(
        case(
            "low_explained_variance",
            expected,
            {"explained_variance": 0.0, "value_loss": 1.0},
            60,
            score=scores_with_tau(60, tau),
        )
        for tau, expected in ((0.29, "stop"), (0.31, None))
    ),
    # While the score improves a loss that has doubled is noted.
    *cases(
        "low_explained_variance",
        NOISE,
        (("note", 1), {"value_loss": lambda i: 0.1 * i}),
        ("note", {"value_loss": from_row(41, 2.1, 1.0)}),
        (None, {"value_loss": from_row(41, 1.9, 1.0)}),
        (None, {"value_loss": lambda i: 0.1 * i if i <= 5 else None}),
        n=60,
        score=rising,
    ),
    case(
        "low_explained_variance",
        None,
        {"explained_variance": from_row(15, 0.0, 0.6), "value_loss": lambda i: 1.0 / i},
        *(60, None, [*rising(20), *([1.0] * 40)]),
    ),
    # Beyond all that a healthy critic has, in rows whose scores differ.
    case(
        "low_explained_variance",
        ("warn", 51),
        {"explained_variance": exploding(51, 3)},
        60,
        score=rising,
    ),
    case(
        "low_explained_variance",
        ("note", 51),
        {"explained_variance": exploding(51, 2)},
        60,
        score=rising,
    ),
    case("low_explained_variance", None, {"explained_variance": exploding(3, 9)}, 60, score=rising),
    case(
        "low_explained_variance",
        None,
        {"explained_variance": exploding(51, 3, -math.inf)},
        60,
        score=rising,
    ),
    case(
        "low_explained_variance",
        None,
        {"explained_variance": exploding(51, 3, -9e5)},
        60,
        score=rising,
    ),
    case(
        "low_explained_variance",
        None,
        {"explained_variance": exploding(51, 9)},
        60,
        score=[*rising(50), *[1.0] * 10],
    ),
    case("low_explained_variance", None, NOISE, 13, 27),
    case("low_explained_variance", ("stop", 1), NOISE, 14, 27),
    # Size alone is healthy, as are rewards that were normalised for the learner.
    *cases(
        "reward_scale",
        LARGE,
        (("warn", 1), {}),
        (("warn", 1), {"explained_variance": 0.6, "grad_clip_fraction": 1.0}),
        (None, {"explained_variance": 0.6}),
        (None, {"target_abs_max": 80.0}),
        (None, {"value_loss": 0.9}),
        (None, {"target_abs_max": 0.0}),
        ("warn", {"target_abs_max": 105}),
        (None, {"target_abs_max": 95}),
        ("warn", {"value_loss": 105}),
        (None, {"value_loss": 95}),
        ("warn", {"explained_variance": 0.045}),
        (None, {"explained_variance": 0.055}),
        ("warn", {"explained_variance": 0.6, "grad_clip_fraction": 0.96}),
        (None, {"explained_variance": 0.6, "grad_clip_fraction": 0.94}),
        n=60,
    ),
    *(
        case(
            "reward_scale",
            expected,
            LARGE | {"target_abs_max": size},
            60,
            score=scores_with_tau(60, tau),
        )
        for size, tau, expected in (
            *((1.05e5, 0.5, "warn"), (0.95e5, 0.5, None)),
            *((5e4, 0.29, "warn"), (5e4, 0.31, None)),
        )
    ),
    case("reward_scale", None, LARGE, score=rising),
    case("reward_scale", None, LARGE, 15, 100),
    case("reward_scale", ("warn", 1), TINY),
    *cases(
        "reward_scale",
        {"value_loss": 1e-5, "explained_variance": 0.0},
        ("warn", {"return_mean": 0.0095}),
        (None, {"return_mean": 0.0105}),
        ("warn", {"return_mean": 0.95e-4, "explained_variance": 0.6}),
        (None, {"return_mean": 1.05e-4, "explained_variance": 0.6}),
        n=40,
    ),
    *value_divergence(
        # Values that leave their targets behind, unlike large ones that stay where they are.
        (("stop", 6), {**TARGETS, "value_abs_max": lambda i: 5.0 * 1.5**i}),
        (None, {**TARGETS, "value_abs_max": 90.0}),
        # An error that explodes is found in any log, and a loss that begins at 0 has no growth.
        (("stop", 12), {**EXPLODING, "return_mean": 1.0}),
        (("warn", 12), EXPLODING),
        # Without any return, a small loss may begin with the first reward.
        (None, {"value_loss": from_row(10, 0.04, 1e-5)}),
        (None, {"value_loss": lambda i: 0.0 if i <= 2 else 2.0**i}),
        # A loss over the square of infinity would be no loss at all.
        (("stop", 12), {**EXPLODING, "return_mean": lambda i: -math.inf if i == 3 else 1.0}),
        # A value loss that grows with the returns, and a leap that is over, are healthy.
        (None, {"return_mean": lambda i: 2.0**i, "value_loss": lambda i: 4.0**i}),
        (None, {"return_mean": 20.0, "value_loss": lambda i: 90.0 - i if i > 9 else 1.0}),
        (None, {**TARGETS, "value_abs_max": lambda i: 60.0 * 1.3 ** min(i, 19)}),
    ),
    *value_divergence(
        (None, {"return_mean": lambda i: 10.0 * i, "value_loss": lambda i: 1e-3 * (10.0 * i) ** 2}),
        n=60,
    ),
    *value_divergence(
        (
            None,
            {
                "return_mean": from_row(10, 1.0, 0.0),
                "value_loss": lambda i: 0.01 * i if i >= 10 else 1e-9,
            },
        ),
        n=40,
    ),
    *value_divergence(
        (None, growing(25.0, 1.1)),
        ("warn", growing(40.0, 1.1)),
        ("warn", growing(250.0, 1.1)),
        (None, growing(28.0)),
        ("warn", growing(32.0)),
        ("warn", growing(970.0)),
        ("stop", growing(1020.0)),
        # A last tenth that is exactly as many times the first as the threshold, and does not grow.
        (None, {"value_loss": [1.0] * 20 + [ValueDivergence.explosion] * 10}),
        ("stop", {"value_loss": [1.0] * 20 + [1.01 * ValueDivergence.explosion] * 10}),
        base={"return_mean": 1.0},
        n=30,
    ),
    # A run that learns or is early is healthy, unless its values diverge.
    case("value_divergence", None, EXPLODING, score=rising),
    case("value_divergence", None, EXPLODING, 7, 81),
    *value_divergence(
        (("warn", 21), {"value_loss": lambda i: 0.1 * 1.6**i}),
        (None, {"value_loss": lambda i: 0.1 * 1.2**i}),
        base={"return_mean": RETURNS},
        score=RETURNS,
    ),
    # Targets beyond any possible return are found while values still lag behind them.
    *value_divergence(
        (("stop", 5), {}),
        (None, {"target_abs_max": 61.0}),  # possible
        (None, {"target_abs_max": 600.0}),  # constant
        (None, {"truncated_fraction": 0.3}),
        # Without the end of an episode nothing is known; with one, the other rows must be sick too.
        (None, {"truncated_fraction": math.nan}),
        (("stop", 5), {"truncated_fraction": from_row(27, 0.0, math.nan)}),
        (
            None,
            {
                "truncated_fraction": from_row(27, 0.0, math.nan),
                "target_abs_max": lambda i: 60.0 + i if i < 27 else 600.0,
            },
        ),
        (None, {"return_max": 900.0}),  # earned
        (None, {"reward_abs_max": math.nan}),
        # They may reach twice the largest return, and values ten times their targets.
        ("stop", {"target_abs_max": lambda i: 60 * 2.1 * (1 + 1e-4 * i)}),
        (None, {"target_abs_max": lambda i: 60 * 1.9 * (1 + 1e-4 * i)}),
        base=SICK,
    ),
    case("value_divergence", None, SICK, 60, score=rising),
    *value_divergence(
        *(
            (expected, {"value_abs_max": lambda i, ratio=ratio: ratio * 5 * 1.01**i})
            for ratio, expected in ((10.5, "stop"), (9.5, None))
        ),
        base={"value_loss": 1.0, "target_abs_max": lambda i: 5 * 1.01**i},
    ),
    # The last eight rows must all be sick.
    *value_divergence(
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


def test_the_median_of_the_last_rows_is_judged():
    assert_judges_median("reward_scale", 10, "target_abs_max", 150, 10, 10, **LARGE)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan("reward_scale", "target_abs_max", 50000.0, **LARGE)


def test_a_rule_waits_for_rows_and_budget():
    assert_starts_at("low_explained_variance", 15, 30, explained_variance=0.0)
    assert_starts_at("low_explained_variance", 50, 100, explained_variance=0.0)
    assert_starts_at("reward_scale", 20, 100, **LARGE)


def test_the_evidence_has_the_values():
    assert_evidence(
        "reward_scale",
        "target_abs_max is 5e+04 in size over the last 10 iterations, explained variance is 0",
        **LARGE,
    )
    growth = "times the largest possible return and grow"
    assert_evidence("value_divergence", growth, **SICK)


def test_the_loss_of_standardised_values_is_judged_as_it_is():
    # Relative to returns that rise a thousandfold, the same loss would seem to shrink.
    metrics: Metrics = {"return_mean": lambda i: 1.3**i, "value_loss": lambda i: 0.1 * 1.6**i}
    seen_by = history(27, score=flat(27), **metrics)
    standardised = dataclasses.replace(seen_by, settings={"normalise_values": True})
    assert RULES["value_divergence"](seen_by) is None
    assert RULES["value_divergence"](standardised)


@pytest.mark.parametrize("other", ["normalise_values", "normalise_advantages"])
def test_size_is_no_fault_of_standardised_values_and_advantages(other: str):
    both = {"normalise_values": True, "normalise_advantages": True}
    run = dataclasses.replace(history(27, score=flat(27), **TINY), settings=both)
    assert RULES["reward_scale"](run) is None
    assert RULES["reward_scale"](dataclasses.replace(run, settings=both | {other: False}))
