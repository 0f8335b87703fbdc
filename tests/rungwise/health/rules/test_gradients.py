"""Rules about gradients: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Case, Metrics, case, cases, from_row, rising
from rule_checks import assert_evidence, assert_judges_median

from rungwise.health.rules.gradients import EntropyWithoutGradient

NAN = math.nan
NO_ENTROPY: Metrics = {"grad_norm_entropy": 0.0, "entropy_coef": 0.01, "entropy": 1.2}
NO_POLICY: Metrics = {"grad_norm_policy": 0.0, "advantage_std": 1.0}
NO_VALUE: Metrics = {"grad_norm_value": 0.0, "value_loss": 2.0}
CLIPPED: Metrics = {"grad_clip_fraction": 1.0, "grad_norm": 20.0, "grad_clip": 0.5}

CASES = [
    # A small gradient, no coefficient, and a deterministic or uniform policy are healthy.
    *cases(
        "entropy_without_gradient",
        NO_ENTROPY,
        (("warn", 1), {}),
        (None, {"grad_norm_entropy": 1e-9}),
        (None, {"grad_norm_entropy": NAN}),
        (None, {"entropy_coef": 0.0}),
        (None, {"entropy_normalised": 0.0}),
        (None, {"entropy_normalised": 1.0}),
        (None, {"entropy": 0.0}),
        ("warn", {"entropy_normalised": 0.011}),
        (None, {"entropy_normalised": 0.009}),
        ("warn", {"entropy_normalised": 0.9985}),
        (None, {"entropy_normalised": 0.9995}),
        ("warn", {"entropy_normalised": EntropyWithoutGradient.low}),
        ("warn", {"entropy": EntropyWithoutGradient.low}),
        ("warn", {"entropy_normalised": EntropyWithoutGradient.high}),
        n=30,
    ),
    case("entropy_without_gradient", ("note", 1), NO_ENTROPY, 60, score=rising),
    case("entropy_without_gradient", ("warn", 1), NO_ENTROPY, 5, 81),
    case("entropy_without_gradient", None, NO_ENTROPY, 4, 27),
    # Clipped without improving is noted; a norm of a thousand limits is the cause.
    *cases(
        "gradients_always_clipped",
        CLIPPED,
        (("note", 1), {}),
        (("stop", 31), {"grad_norm": 4000.0, "grad_clip_fraction": from_row(31, 1.0, 0.5)}),
        (("note", 1), {"grad_norm": NAN, "grad_clip": NAN}),
        (None, {"grad_clip_fraction": NAN}),
        ("note", {"grad_clip_fraction": 0.96}),
        (None, {"grad_clip_fraction": 0.94}),
        ("stop", {"grad_norm": 505}),
        ("note", {"grad_norm": 495}),
        n=60,
    ),
    case("gradients_always_clipped", None, CLIPPED, 60, score=rising),
    # A certain policy that has learnt, and advantages that do not differ, are healthy.
    *cases(
        "policy_without_gradient",
        NO_POLICY,
        (("stop", 1), {}),
        (None, {"advantage_std": 0.0}),
        (None, {"grad_norm_policy": lambda i: 0.1 if i == 26 else 0.0}),
        (None, {"grad_norm_policy": lambda i: NAN if i % 2 else 0.0}),
        n=30,
    ),
    case("policy_without_gradient", ("warn", 1), NO_POLICY, 9, 81, score=[None] * 3 + [1.0] * 6),
    case("policy_without_gradient", None, NO_POLICY, 8, 27),
    case(
        "policy_without_gradient",
        None,
        NO_POLICY | {"grad_norm_policy": from_row(30, 0, 0.2)},
        60,
        score=rising,
    ),
    # Without an error there is nothing to learn.
    *cases(
        "value_without_gradient",
        NO_VALUE,
        (("warn", 1), {}),
        (None, {"value_loss": 0.0}),
        (None, {"grad_norm_value": 1e-9}),
        (None, {"grad_norm_value": lambda i: NAN if i % 2 else 0.0}),
        n=30,
    ),
    case("value_without_gradient", ("warn", 1), NO_VALUE, 5, 81),
    case("value_without_gradient", ("note", 1), NO_VALUE, 60, score=rising),
    case("value_without_gradient", None, NO_VALUE, 4, 27),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


def test_the_median_of_the_last_rows_is_judged():
    assert_judges_median("gradients_always_clipped", 10, "grad_clip_fraction", 1.0, 0.5, 0.5)


def test_the_evidence_has_the_values():
    assert_evidence(
        "gradients_always_clipped",
        "the norm is 8 times the limit",
        **CLIPPED | {"grad_norm": 0.8, "grad_clip": 0.1},
    )
