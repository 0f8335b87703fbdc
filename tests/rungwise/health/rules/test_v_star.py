"""Rules about stage 1 of A*-PO: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Case, Metrics, case, cases, from_row, rising
from rule_checks import (
    assert_evidence,
    assert_judges_median,
    assert_needs_last,
    assert_skips_nan,
    assert_starts_at,
)

from rungwise.health import RULES, History, diagnose
from rungwise.health.rules.v_star import AdvantagesFlat

NAN = math.nan
NEGATIVE: Metrics = {"advantage_negative_fraction": 1.0, "advantage_mean": -0.8}
POSITIVE: Metrics = {
    **{"advantage_negative_fraction": 0.0, "advantage_mean": 0.4, "advantage_std": 0.2}
}
STAGE_1: Metrics = {"v_star_starts": 100, "v_star_starts_left": 0, "reference_samples": 8}
FLAT: Metrics = {"v_star_flat_fraction": 1.0} | STAGE_1
FAILED: Metrics = {"v_star_failed_fraction": 1.0} | STAGE_1

CASES = [
    # Samples without any difference; a single one has nothing to differ from.
    *cases(
        "advantages_flat",
        FLAT,
        (("warn", 1), {}),
        ("warn", {"v_star_flat_fraction": 0.96}),
        (None, {"v_star_flat_fraction": 0.94}),
        (None, {"v_star_flat_fraction": AdvantagesFlat.flat_fraction}),
        (None, {"v_star_flat_fraction": NAN}),
        ("warn", {"v_star_starts": 32, "v_star_starts_left": 1}),
        (None, {"v_star_starts": 31, "v_star_starts_left": 1}),
        ("warn", {"v_star_starts": 31, "v_star_starts_left": 0}),
        ("warn", {"reference_samples": 2}),
        (None, {"reference_samples": 1}),
        n=1,
        budget=100,
        score=None,
    ),
    case("advantages_flat", None, FLAT, score=rising),
    *cases(
        "advantages_flat",
        FLAT,
        # Later rows need not repeat the metrics.
        (("warn", 1), {name: from_row(2, None, value) for name, value in FLAT.items()}),
        (("warn", 3), {"v_star_flat_fraction": from_row(3, 1.0, 0.95)}),
        n=9,
        budget=100,
        score=None,
    ),
    # A run below its reference that learns is healthy.
    *cases(
        "v_star_optimistic",
        NEGATIVE,
        (("warn", 1), {}),
        (None, {"advantage_negative_fraction": NAN}),
        ("warn", {"advantage_negative_fraction": 0.96}),
        (None, {"advantage_negative_fraction": 0.94}),
        (None, {"advantage_negative_fraction": 0.95}),
        (("warn", 9), {"advantage_negative_fraction": from_row(9, 1.0, 0.95)}),
        (None, {"advantage_negative_fraction": lambda i: max(0.3, 1 - 0.05 * i)}),
    ),
    case("v_star_optimistic", None, NEGATIVE, score=rising),
    case("v_star_optimistic", None, NEGATIVE, 15, 100),
    # So is a policy better than its reference, and one with advantages of both signs.
    *cases(
        "v_star_pessimistic",
        POSITIVE,
        (("warn", 1), {}),
        (
            ("warn", 1),
            {"advantage_mean": 1e-4, "advantage_std": 1e-3, "advantage_negative_fraction": 0.5},
        ),
        (None, {"advantage_negative_fraction": 0.3}),
        ("warn", {"advantage_negative_fraction": 0.048}),
        (None, {"advantage_negative_fraction": 0.052}),
        (
            "warn",
            {"advantage_negative_fraction": 0.5, "advantage_mean": 0.0095, "advantage_std": 0.0095},
        ),
        (
            None,
            {"advantage_negative_fraction": 0.5, "advantage_mean": 0.0105, "advantage_std": 0.0105},
        ),
    ),
    case("v_star_pessimistic", None, POSITIVE, score=rising),
    case("v_star_pessimistic", None, POSITIVE, 15, 100),
    *cases(
        "v_star_without_success",
        FAILED,
        (("warn", 1), {}),
        ("warn", {"v_star_failed_fraction": 0.995}),
        (None, {"v_star_failed_fraction": 0.985}),
        (None, {"v_star_failed_fraction": NAN}),
        ("warn", {"v_star_starts": 32, "v_star_starts_left": 1}),
        (None, {"v_star_starts": 31, "v_star_starts_left": 1}),
        ("warn", {"v_star_starts": 31, "v_star_starts_left": 0}),
        n=1,
        budget=100,
        score=None,
    ),
    case("v_star_without_success", None, FAILED, score=rising),
    case(
        "v_star_without_success",
        ("warn", 1),
        {name: from_row(2, None, v) for name, v in FAILED.items()},
        9,
        100,
        score=None,
    ),
    # A few outliers are healthy, and a run that learns gets a note.
    *cases(
        "advantage_clipping",
        {},
        (("warn", 7), {"advantage_clip_fraction": from_row(7, 0.7, 0.1)}),
        ("warn", {"advantage_clip_fraction": 0.52}),
        (None, {"advantage_clip_fraction": 0.48}),
        (None, {"advantage_clip_fraction": 0.04}),
    ),
    case("advantage_clipping", "note", {"advantage_clip_fraction": 0.7}, score=rising),
    case("advantage_clipping", None, {"advantage_clip_fraction": 0.9}, 3, 27),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


def test_the_median_of_the_last_rows_is_judged():
    assert_judges_median(
        "v_star_optimistic", 5, "advantage_negative_fraction", 1.0, 0.5, 0.94, **NEGATIVE
    )
    assert_judges_median("advantage_clipping", 5, "advantage_clip_fraction", 1.0, 0.0, 0.45)


def test_all_of_the_last_rows_must_be_sick():
    assert_needs_last("v_star_pessimistic", 5, "advantage_negative_fraction", 0.0, 0.5, **POSITIVE)


def test_a_rule_waits_for_rows_and_budget():
    assert_starts_at("v_star_optimistic", 20, 100, **NEGATIVE)
    assert_starts_at("v_star_pessimistic", 20, 100, **POSITIVE)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan("v_star_pessimistic", "advantage_negative_fraction", 0.0, advantage_mean=0.4)
    assert_skips_nan("advantage_clipping", "advantage_clip_fraction", 1.0)


def test_the_evidence_has_the_values():
    assert_evidence(
        "v_star_optimistic",
        "by 0.8 on average (returns 0.1, V* 0.9), 16 times the",
        **NEGATIVE | {"return_mean": 0.1, "advantage_std": 0.05},
    )
    assert_evidence(
        "v_star_optimistic", "times the standard deviation", **NEGATIVE | {"advantage_std": 0.078}
    )
    assert_evidence(
        "v_star_optimistic", "by 0.8 on average, and", **NEGATIVE | {"advantage_std": 0.082}
    )
    assert_evidence("v_star_pessimistic", "beat V* (the last by 0.4 on average)", **POSITIVE)
    assert_evidence(
        "v_star_without_success", "100% of 100 starts none of the reference's 8 samples", **FAILED
    )
    assert_evidence("advantages_flat", "from 100% of 100 starts all samples", **FLAT)


@pytest.mark.parametrize(
    ("symptom", "metrics"), [("advantages_flat", FLAT), ("v_star_without_success", FAILED)]
)
def test_stage_1_is_judged_while_it_runs(symptom: str, metrics: Metrics):
    finding = RULES[symptom](History([{"iteration": 0, **metrics, "v_star_starts_left": 900}], 100))
    assert finding and finding.since == 0


def make_history(**settings: int) -> History:
    """The first report of stage 1 of a job with these settings."""
    row = {"iteration": 0, "v_star_starts": 2, "v_star_starts_left": 30}
    return History([row], 100, settings={"reference_samples": 8, "starts": 1000} | settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"reference_samples": 4}, None),
        ({"reference_samples": 3}, ("warn", "3 of 4 samples")),
        ({"starts": 256}, None),
        ({"starts": 255}, ("note", "255 starts")),
        ({"starts": 32}, ("note", "32 starts")),
        ({"starts": 31}, ("warn", "31 of 32 starts")),
    ],
)
def test_each_of_the_two_numbers_has_limits(settings: Metrics, expected: tuple[str, str] | None):
    finding = RULES["v_star_few_samples"](make_history(**settings))
    assert (finding is not None) == (expected is not None)
    if finding and expected:
        assert (finding.severity, finding.since) == (expected[0], 0)
        assert expected[1] in finding.evidence


def test_both_are_named_where_both_are_low():
    finding = RULES["v_star_few_samples"](make_history(reference_samples=1, starts=2))
    assert finding
    assert "1 of 4 samples" in finding.evidence
    assert "2 of 32 starts" in finding.evidence


def test_other_algorithms_are_not_judged():
    history = History([{"iteration": 1, "kl": 0.1}], 100, settings={"starts": 2})
    assert "v_star_few_samples" in diagnose(history).not_judged
