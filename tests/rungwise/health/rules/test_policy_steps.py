"""Rules about the policy's steps: sick and healthy runs, each threshold, warm-up and NaN."""

import math
from typing import Any

import pytest
from health_runs import Case, Metrics, case, cases, flat, from_row, history, rising, scores_with_tau
from rule_checks import assert_evidence, assert_needs_last, assert_skips_nan, assert_starts_at

from rungwise.health import RULES

NAN = math.nan
CLIP: Metrics = {"clip_fraction": 0.99, "kl": 3e-8}
STARVED: Metrics = {"grad_norm_head": 1e-4, "grad_norm_backbone": 3.0, "advantage_std": 1.0}
FIRST_UPDATES = [0.14, 0.089, 0.106, 0.058, 0.293, 0.028, 0.131, 0.028, 0.011, 0.012, 0.007, 0.057]
"""KL of a healthy run of DPO after a warm start, whose first updates move a policy furthest."""


STILL: Metrics = {"kl": 1e-9, "clip_fraction": 0.0, "entropy": lambda i: 1.38 + 1e-4 * (i % 3)}
CONVERGED: Metrics = {
    "kl": from_row(20, 0.0, 0.01),
    "clip_fraction": from_row(20, 0.0, 0.1),
    "entropy": lambda i: max(1.4 - 0.07 * i, 0.0),
}
UNPAID: Metrics = {**STILL, "episodes": 0}
# The goal is found in row 40, and from then on something could have moved the policy.
FOUND = [-200.0] * 40 + flat(60, -200.0)


def frozen_policy(*rows: tuple[Any, Metrics], base: Metrics, **options: Any) -> list[Case]:
    return cases("frozen_policy", base, *rows, **options)


CASES = [
    # Clipping of large steps and small steps are healthy, each by itself.
    *cases(
        "clip_range_too_small",
        CLIP,
        (("stop", 1), {}),
        (("stop", 9), {"clip_fraction": from_row(9, 0.99, 0.1), "kl": from_row(9, 3e-8, 0.01)}),
        (None, {"clip_fraction": 0.38}),
        (None, {"kl": 0.01}),
        (None, {"kl": NAN}),
        ("stop", {"clip_fraction": 0.91}),
        (None, {"clip_fraction": 0.89}),
        ("stop", {"kl": 0.95e-5}),
        (None, {"kl": 1.05e-5}),
    ),
    case("clip_range_too_small", None, CLIP, 60, score=rising),
    case("clip_range_too_small", None, CLIP, 7, 81),
    # One well-fed iteration, equal advantages, and a network without any gradient are healthy.
    *cases(
        "head_starves",
        STARVED,
        (("warn", 31), {"grad_norm_head": from_row(31, 1e-4, 0.5)}),
        (None, {"grad_norm_head": lambda i: 0.5 if i == 55 else 1e-4}),
        (None, {"advantage_std": 0.0}),
        (("warn", 1), {"advantage_std": NAN}),
        (None, {"grad_norm_head": 0.0, "grad_norm_backbone": 0.0}),
        (None, {"grad_norm_head": NAN}),
        ("warn", {"grad_norm_head": 0.0029}),
        (None, {"grad_norm_head": 0.0031}),
        n=60,
    ),
    case("head_starves", None, STARVED, 60, score=rising),
    # A frozen policy has a rule of its own; schedules and warm-ups of the rate are healthy.
    *cases(
        "update_ratio",
        {},
        (("warn", 5), {"update_ratio": from_row(5, 0.6, 0.05)}),
        (("stop", 1), {"update_ratio": 1e-8}),
        (None, {"update_ratio": 1e-8} | STILL),
    ),
    *cases(
        "update_ratio",
        {},
        (None, {"update_ratio": lambda i: 0.02 * (1 - i / 60) ** 2}),
        ("warn", {"update_ratio": 0.31}),
        (None, {"update_ratio": 0.29}),
        ("stop", {"update_ratio": 0.95e-6}),
        (None, {"update_ratio": 1.05e-6}),
        n=60,
    ),
    case("update_ratio", "warn", {"update_ratio": 0.6}, 60, score=scores_with_tau(60, 0.19)),
    case("update_ratio", None, {"update_ratio": 0.6}, 60, score=scores_with_tau(60, 0.21)),
    case("update_ratio", None, {"update_ratio": 0.6}, score=rising),
    case("update_ratio", None, {"update_ratio": 1e-8}, score=rising),
    *(
        case("update_ratio", None, {"update_ratio": from_row(25, 0.02, 1e-8)}, n, 300)
        for n in range(1, 30)
    ),
    # Policies do not recover from a jump; other limits allow for single large steps.
    *cases(
        "kl_runaway",
        {},
        ("stop", {"kl": from_row(22, 10.5, 0.02)}),
        (None, {"kl": from_row(22, 9.5, 0.02)}),
        (("warn", 18), {"kl": lambda i: 0.7 if i in (18, 20, 21) else 0.02}),
        ("warn", {"kl": lambda i: 0.52 if i in (18, 20, 21) else 0.02}),
        (None, {"kl": lambda i: 0.48 if i in (18, 20, 21) else 0.02}),
        ("warn", {"kl": lambda i: 0.52 if i in (13, 20, 21) else 0.02}),
        (None, {"kl": lambda i: 0.52 if i in (12, 20, 21) else 0.02}),
        ("warn", {"kl": 0.105}),
        (None, {"kl": 0.095}),
        (None, {"kl": NAN}),
        (None, {"kl": lambda i: 0.18 if i % 5 == 0 else 0.022}),
        # Two healthy runs of DPO on CausalLearning have medians of .6 and .7.
        (None, {"kl": 0.8, "pair_accuracy": 0.8}),
        (("stop", 22), {"kl": from_row(22, 10.5, 0.8), "pair_accuracy": 0.8}),
        n=22,
    ),
    # Far from its reference: healthy where the score has improved, or is on its way.
    *cases(
        "reference_kl_runaway",
        {},
        (("warn", 9), {"reference_kl": from_row(9, 4.0, 0.05)}),
        ("warn", {"reference_kl": 1.05}),
        (None, {"reference_kl": 0.95}),
        (None, {"reference_kl": NAN}),
        # A single batch in which the estimate explodes.
        (None, {"reference_kl": lambda i: 1e11 if i % 5 == 0 else 0.05}),
    ),
    case("reference_kl_runaway", None, {"reference_kl": 2.5}, 60, score=rising),
    case("reference_kl_runaway", None, {"reference_kl": 2.5}, 11, 60),
    case("reference_kl_runaway", "warn", {"reference_kl": 2.5}, 12, 60, scores_with_tau(12, 0.18)),
    case("reference_kl_runaway", None, {"reference_kl": 2.5}, 12, 60, scores_with_tau(12, 0.22)),
    case("kl_runaway", "warn", {"kl": 0.15}, 22, score=scores_with_tau(22, 0.18)),
    case("kl_runaway", None, {"kl": 0.15}, 22, score=scores_with_tau(22, 0.22)),
    # Before the score can be judged, one row may be an estimate that a single action spoils.
    case("kl_runaway", ("warn", 4), {"kl": from_row(4, 14.2, 0.02)}, 4, 27),
    case("kl_runaway", ("warn", 4), {"kl": from_row(4, 14.2, 0.02)}, 7, 27, [1.0] * 7),
    case("kl_runaway", ("stop", 4), {"kl": from_row(4, 14.2, 0.02)}, 8, 27, [1.0] * 8),
    case("kl_runaway", ("stop", 4), {"kl": from_row(4, math.inf, 0.02)}, 8, 27, [1.0] * 8),
    case("kl_runaway", ("warn", 3), {"kl": lambda i: 17.3 if i == 3 else 0.01}, 7, 27),
    case("kl_runaway", ("stop", 3), {"kl": lambda i: 17.3 if i == 3 else 0.01}, 8, 27),
    case(
        "kl_runaway",
        ("warn", 3),
        {"kl": from_row(3, 17.3, 0.01)},
        7,
        27,
        [1.0 * i for i in range(7)],
    ),
    # Of a long run, one row warns: live, where rows are means, and afterwards.
    case("kl_runaway", ("warn", 601), {"kl": lambda i: 60.0 if i == 601 else 0.01}, 5000),
    case("kl_runaway", ("stop", 601), {"kl": lambda i: 60.0 if 601 <= i < 606 else 0.01}, 5000),
    case(
        "kl_runaway", ("warn", 61), {"kl": 0.1, "kl_max": lambda i: 60.0 if i == 61 else 0.1}, 500
    ),
    case("kl_runaway", ("warn", 11), {"kl": from_row(11, 0.15, 0.01)}, 30),
    case("kl_runaway", None, {"kl": 0.37}, 30, score=rising),
    case("kl_runaway", None, {"kl": [0.119, 0.099, 0.103, 0.058]}, 4, 7, [1.0] * 4),
    case("kl_runaway", ("warn", 1), {"kl": 12.0}, 60, score=rising),
    # CartPole at a learning rate of .1: the policy is deterministic after two updates.
    case("kl_runaway", ("warn", 1), {"kl": [1.66, 3.09, 0.0]}, 3, 40, [22.5, 11.3, 9.3]),
    case("kl_runaway", None, {"kl": [1.66, 3.09]}, 2, 40, [22.5, 11.3]),
    # The median of few updates has a higher limit.
    case("kl_runaway", None, {"kl": [0.48, 0.48, 0.0]}, 3, 40, [1.0] * 3),
    case("kl_runaway", ("warn", 1), {"kl": [0.52, 0.52, 0.0]}, 3, 40, [1.0] * 3),
    *(case("kl_runaway", None, {"kl": FIRST_UPDATES[:n]}, n, 400) for n in range(1, 13)),
    case("kl_runaway", ("warn", 1), {"kl": 0.15}, 10, 400),
    *frozen_policy(
        # A KL of exactly zero is none: before the only step of an iteration, or not computed.
        (None, {"kl": 0.0}),
        (("warn", 1), {"kl": 0.0, "entropy": 1.38}),
        (("stop", 1), {"kl": from_row(5, 0.0, 1e-9)}),
        (None, {"kl": 0.0, "clip_fraction": lambda i: None, "updates": 2}),
        ("stop", {"kl": 0.95e-6}),
        (None, {"kl": 1.05e-6}),
        ("stop", {"clip_fraction": 0.95e-3}),
        (None, {"clip_fraction": 1.05e-3}),
        ("stop", {"entropy": lambda i: 1.38 * (1 - 0.0095 * (i % 2))}),
        (None, {"entropy": lambda i: 1.38 * (1 - 0.0105 * (i % 2))}),
        # Without a signal there is nothing to move it, and a reward may come.
        (("warn", 1), {"policy_loss": 0.0}),
        (("stop", 1), {"policy_loss": lambda i: 0.01 * (-1) ** i}),
        # The first update may move a policy that nothing moves afterwards, and the second not.
        (("stop", 1), {"entropy": from_row(2, 1.38, 2.0)}),
        (None, {"entropy": from_row(3, 1.38, 2.0)}),
        # Where updates are counted they tell which it is.
        (None, {"kl": 0.0, "updates": 1}),
        (("warn", 1), {"kl": 0.0, "updates": 1, "entropy": 1.38}),
        (("stop", 1), {"kl": 0.0, "updates": 2}),
        base=STILL,
        n=30,
    ),
    *frozen_policy(
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
    *frozen_policy((("stop", 1), {"kl": [1e-9] * 10 + [0.01] * 27 + [1e-9] * 3}), base=STILL, n=40),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


def test_all_of_the_last_rows_must_be_sick():
    assert_needs_last("clip_range_too_small", 5, "clip_fraction", 0.99, 0.1, **CLIP)
    assert_needs_last("update_ratio", 5, "update_ratio", 0.6, 0.05)


def test_a_rule_waits_for_rows_and_budget():
    assert_starts_at("update_ratio", 20, 200, update_ratio=0.6)
    assert_starts_at("frozen_policy", 7, 27, **STILL)
    assert_starts_at("frozen_policy", 10, 100, **STILL)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan("update_ratio", "update_ratio", 0.6)


def test_the_evidence_has_the_values():
    assert_evidence(
        "update_ratio", "by 0.6 of their size at a learning rate of 0.1", update_ratio=0.6, lr=0.1
    )


def test_a_frozen_policy_is_found_early():
    finding = RULES["frozen_policy"](history(7, 27, score=flat(7), lr=1e-12, **STILL))
    assert finding
    assert (finding.severity, finding.since) == ("stop", 1)
    assert "learning rate 1e-12" in finding.evidence
