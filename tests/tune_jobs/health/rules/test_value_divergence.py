"""Rule ``value_divergence``: sick and healthy runs, each threshold, warm-up and NaN."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from health_runs import Metrics, flat, from_row, history, rising, seen, severity

from tune_jobs.health.rules.values import ValueDivergence

RULE = ValueDivergence()


def test_values_that_leave_their_targets_behind_are_found():
    metrics: Metrics = {"value_loss": 1.0, "target_abs_max": 5.0}
    metrics["value_abs_max"] = lambda i: 5.0 * 1.5**i
    assert seen(RULE, 27, score=flat(27), **metrics) == ("stop", 6)


def test_an_error_that_explodes_is_found_in_any_log():
    loss: Metrics = {"value_loss": lambda i: 0.1 * 2.0**i}
    found: Any = seen(RULE, 27, score=flat(27), **loss)
    assert found == ("stop", 12)


@pytest.mark.parametrize(("growth", "found"), [(25.0, None), (40.0, "warn"), (250.0, "warn")])
def test_a_loss_that_grows_thirtyfold_is_warned_about(growth: float, found: Any):
    loss = [1.0] * 20 + np.linspace(growth, 1.1 * growth, 10).tolist()
    metrics: Metrics = {"value_loss": loss, "return_mean": 1.0}
    assert (seen(RULE, 30, score=flat(30), **metrics) or (None,))[0] == found


def test_a_value_loss_that_grows_with_the_returns_is_healthy():
    metrics: Metrics = {
        "return_mean": lambda i: 10.0 * i,
        "value_loss": lambda i: 1e-3 * (10.0 * i) ** 2,
    }
    assert seen(RULE, 60, score=flat(60), **metrics) is None
    steep: Metrics = {"return_mean": lambda i: 2.0**i, "value_loss": lambda i: 4.0**i}
    assert seen(RULE, 27, score=flat(27), **steep) is None


def test_large_values_that_stay_where_they_are_are_healthy():
    metrics: Metrics = {"value_loss": 1.0, "value_abs_max": 90.0, "target_abs_max": 5.0}
    assert seen(RULE, 27, score=flat(27), **metrics) is None


def test_a_run_that_learns_or_is_early_is_healthy():
    loss: Metrics = {"value_loss": lambda i: 0.1 * 2.0**i}
    assert seen(RULE, 27, score=rising(27), **loss) is None
    assert seen(RULE, 7, 81, score=flat(7), **loss) is None


def test_diverging_values_of_a_run_that_learns_are_found():
    returns = [100 * r for r in rising(27, 0.2)]
    metrics: Metrics = {"return_mean": returns, "value_loss": lambda i: 0.1 * 1.6**i}
    assert seen(RULE, 27, score=returns, **metrics) == ("warn", 21)
    mild: Metrics = {"return_mean": returns, "value_loss": lambda i: 0.1 * 1.2**i}
    assert seen(RULE, 27, score=returns, **mild) is None


def test_a_leap_that_is_over_is_healthy():
    over: Metrics = {"return_mean": 20.0, "value_loss": lambda i: 90.0 - i if i > 9 else 1.0}
    assert seen(RULE, 27, score=flat(27), **over) is None
    late: Metrics = {"return_mean": from_row(10, 1.0, 0.0)}
    late["value_loss"] = lambda i: 0.01 * i if i >= 10 else 1e-9
    assert seen(RULE, 40, score=flat(40), **late) is None


ENDS: Metrics = {
    "value_loss": lambda i: 10.0 * i,
    "value_abs_max": 20.0,
    "reward_abs_max": 1.0,
    "episode_length": 20.0,
    "running_length_max": 60.0,
    "truncated_fraction": 0.0,
}


SICK: Metrics = {**ENDS, "target_abs_max": lambda i: 30.0 * i}


def test_they_are_found_while_values_still_lag_behind():
    finding = RULE(history(27, score=flat(27), **SICK))
    assert finding
    assert (finding.severity, finding.since) == ("stop", 5)
    assert "times the largest possible return and grow" in finding.evidence


@pytest.mark.parametrize(
    "change",
    [
        {"target_abs_max": 61.0},
        {"target_abs_max": 600.0},
        {"truncated_fraction": 0.3},
        {"return_max": 900.0},
        {"reward_abs_max": math.nan},
    ],
    ids=["possible", "constant", "cut off", "earned", "unknown"],
)
def test_what_can_be_explained_is_healthy(change: Metrics):
    assert seen(RULE, 27, score=flat(27), **{**SICK, **change}) is None


def test_a_run_that_learns_is_healthy():
    assert seen(RULE, 60, score=rising(60), **SICK) is None


@pytest.mark.parametrize(
    ("growth", "expected"), [(28.0, None), (32.0, "warn"), (970.0, "warn"), (1020.0, "stop")]
)
def test_severity_follows_the_growth_of_the_loss(growth: float, expected: str | None):
    loss = [1.0] * 20 + np.linspace(growth, 1.01 * growth, 10).tolist()
    assert severity(RULE, 30, score=flat(30), value_loss=loss, return_mean=1.0) == expected


@pytest.mark.parametrize(("ratio", "expected"), [(10.5, "stop"), (9.5, None)])
def test_values_may_reach_ten_times_their_targets(ratio: float, expected: str | None):
    metrics: Metrics = {"value_loss": 1.0, "target_abs_max": lambda i: 5 * 1.01**i}
    metrics["value_abs_max"] = lambda i: ratio * 5 * 1.01**i
    assert severity(RULE, 27, score=flat(27), **metrics) == expected


@pytest.mark.parametrize(("reach", "expected"), [(2.1, "stop"), (1.9, None)])
def test_targets_may_reach_twice_the_largest_return(reach: float, expected: str | None):
    targets: Metrics = {**ENDS, "target_abs_max": lambda i: 60 * reach * (1 + 1e-4 * i)}
    assert severity(RULE, 27, score=flat(27), **targets) == expected


def test_the_last_eight_rows_must_all_be_sick():
    for rows, expected in ((8, "stop"), (7, None)):
        metrics: Metrics = {"value_loss": 1.0, "target_abs_max": 5.0}
        metrics["value_abs_max"] = lambda i, rows=rows: 5.0 * i if i > 27 - rows else 5.0
        assert severity(RULE, 27, score=flat(27), **metrics) == expected


def test_growth_equal_to_the_threshold_has_not_exploded():
    # The last tenth is exactly as many times the first as the threshold says, and does not grow.
    runs = history(30, score=flat(30), value_loss=[1.0] * 20 + [RULE.explosion] * 10)
    assert RULE(runs) is None
    runs = history(30, score=flat(30), value_loss=[1.0] * 20 + [1.01 * RULE.explosion] * 10)
    assert RULE(runs)


def test_a_loss_that_begins_at_zero_has_no_growth():
    loss: Metrics = {"value_loss": lambda i: 0.0 if i <= 2 else 2.0**i}
    assert seen(RULE, 27, score=flat(27), **loss) is None


def test_an_infinite_return_is_no_largest_one():
    """A loss over the square of infinity would be no loss at all."""
    returns: Metrics = {"return_mean": lambda i: -math.inf if i == 3 else 1.0}
    loss: Metrics = {"value_loss": lambda i: 0.1 * 2.0**i}
    assert seen(RULE, 27, score=flat(27), **loss, **returns) == ("stop", 12)


def test_growth_before_the_last_eight_rows_is_over():
    metrics: Metrics = {"value_loss": 1.0, "target_abs_max": 5.0}
    metrics["value_abs_max"] = lambda i: 60.0 * 1.3 ** min(i, 19)
    assert seen(RULE, 27, score=flat(27), **metrics) is None


def test_the_loss_of_standardised_values_is_judged_as_it_is():
    # Relative to returns that rise a thousandfold, the same loss would seem to shrink.
    metrics: Metrics = {"return_mean": lambda i: 1.3**i, "value_loss": lambda i: 0.1 * 1.6**i}
    seen_by = history(27, score=flat(27), **metrics)
    assert RULE(seen_by) is None
    assert RULE(dataclasses.replace(seen_by, settings={"normalise_values": True}))
