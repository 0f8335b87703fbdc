"""Rule ``advantages_flat``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, from_row, history, rising, seen, severity

from tune_jobs.health import History
from tune_jobs.health.rules.v_star import AdvantagesFlat

RULE = AdvantagesFlat()
FLAT: Metrics = {
    "v_star_flat_fraction": 1.0,
    "v_star_starts": 100,
    "v_star_starts_left": 0,
    "reference_samples": 8,
}


def test_samples_without_any_difference_are_warned_about():
    finding = RULE(history(1, 100, **FLAT))
    assert finding
    assert (finding.severity, finding.since) == ("warn", 1)
    assert finding.evidence.startswith("from 100% of 100 starts all samples")


def test_it_is_found_while_stage_1_still_runs():
    row = {"iteration": 0, **FLAT, "v_star_starts_left": 900}
    finding = RULE(History([row], 100))
    assert finding
    assert finding.since == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"v_star_flat_fraction": 0.96}, "warn"),
        ({"v_star_flat_fraction": 0.94}, None),
        ({"v_star_flat_fraction": RULE.flat_fraction}, None),
        ({"v_star_flat_fraction": math.nan}, None),
        ({"v_star_starts": 32, "v_star_starts_left": 1}, "warn"),
        ({"v_star_starts": 31, "v_star_starts_left": 1}, None),
        ({"v_star_starts": 31, "v_star_starts_left": 0}, "warn"),
        ({"reference_samples": 2}, "warn"),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    assert severity(RULE, 1, 100, **{**FLAT, **change}) == expected


def test_a_single_sample_has_nothing_to_differ_from():
    assert seen(RULE, 1, 100, **{**FLAT, "reference_samples": 1}) is None


def test_a_run_that_learns_anyway_is_healthy():
    assert seen(RULE, 27, score=rising(27), **FLAT) is None


def test_later_rows_need_not_repeat_the_metrics():
    once: Metrics = {name: from_row(2, None, value) for name, value in FLAT.items()}
    assert seen(RULE, 9, 100, **once) == ("warn", 1)


def test_its_beginning_is_where_the_fraction_exceeds_the_limit():
    at_limit: Metrics = {"v_star_flat_fraction": from_row(3, 1.0, RULE.flat_fraction)}
    assert seen(RULE, 9, 100, **{**FLAT, **at_limit}) == ("warn", 3)
