"""Rule ``v_star_without_success``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, from_row, history, rising, seen, severity

from tune_jobs.health import History
from tune_jobs.health.rules.v_star import VStarWithoutSuccess

RULE = VStarWithoutSuccess()
FAILED: Metrics = {
    "v_star_failed_fraction": 1.0,
    "v_star_starts": 100,
    "v_star_starts_left": 0,
    "reference_samples": 8,
}


def test_a_reference_that_never_succeeds_is_warned_about():
    finding = RULE(history(1, 100, **FAILED))
    assert finding
    assert (finding.severity, finding.since) == ("warn", 1)
    assert "100% of 100 starts none of the reference's 8 samples" in finding.evidence


def test_it_is_found_while_stage_1_still_runs():
    row = {"iteration": 0, **FAILED, "v_star_starts_left": 900}
    finding = RULE(History([row], 100))
    assert finding
    assert finding.since == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"v_star_failed_fraction": 0.995}, "warn"),
        ({"v_star_failed_fraction": 0.985}, None),
        ({"v_star_failed_fraction": math.nan}, None),
        ({"v_star_starts": 32, "v_star_starts_left": 1}, "warn"),
        ({"v_star_starts": 31, "v_star_starts_left": 1}, None),
        ({"v_star_starts": 31, "v_star_starts_left": 0}, "warn"),
    ],
)
def test_severity_at_each_threshold(change: Metrics, expected: str | None):
    assert severity(RULE, 1, 100, **{**FAILED, **change}) == expected


def test_a_run_that_learns_anyway_is_healthy():
    assert seen(RULE, 27, score=rising(27), **FAILED) is None


def test_later_rows_need_not_repeat_the_metrics():
    once: Metrics = {name: from_row(2, None, value) for name, value in FAILED.items()}
    assert seen(RULE, 9, 100, **once) == ("warn", 1)
