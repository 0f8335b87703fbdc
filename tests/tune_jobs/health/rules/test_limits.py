# pyright: basic
"""Rules that compare a metric with a limit: sick and healthy runs, each threshold, warm-up, NaN."""

import math

import pytest
from health_runs import (
    Case,
    Metrics,
    assert_judges_median,
    assert_needs_last,
    assert_skips_nan,
    assert_starts_at,
    case,
    cases,
    flat,
    from_row,
    history,
    make_rows,
    rising,
    scores_with_tau,
)

from tune_jobs.health import RULES, History, diagnose

NAN = math.nan
LIMIT = {symptom: vars(rule) for symptom, rule in RULES.items()}
"""By symptom its thresholds."""


CUT: Metrics = {"truncated_fraction": 1.0, "episode_length": 200.0}
CLIP: Metrics = {"clip_fraction": 0.99, "kl": 3e-8}
NO_ENTROPY: Metrics = {"grad_norm_entropy": 0.0, "entropy_coef": 0.01, "entropy": 1.2}
NO_POLICY: Metrics = {"grad_norm_policy": 0.0, "advantage_std": 1.0}
NO_VALUE: Metrics = {"grad_norm_value": 0.0, "value_loss": 2.0}
LOW: Metrics = {"gamma": 0.0, "episode_length": 20}
CLIPPED: Metrics = {"grad_clip_fraction": 1.0, "grad_norm": 20.0, "grad_clip": 0.5}
STARVED: Metrics = {"grad_norm_head": 1e-4, "grad_norm_backbone": 3.0, "advantage_std": 1.0}
NEGATIVE: Metrics = {"advantage_negative_fraction": 1.0, "advantage_mean": -0.8}
POSITIVE: Metrics = {
    **{"advantage_negative_fraction": 0.0, "advantage_mean": 0.4, "advantage_std": 0.2},
}
STAGE_1: Metrics = {"v_star_starts": 100, "v_star_starts_left": 0, "reference_samples": 8}
FLAT: Metrics = {"v_star_flat_fraction": 1.0} | STAGE_1
FAILED: Metrics = {"v_star_failed_fraction": 1.0} | STAGE_1
STILL: Metrics = {"kl": 1e-12, "clip_fraction": 0.0, "entropy": 1.38}
BLIND: Metrics = {"encoder_constant_fraction": 1.0, "feature_constant_fraction": 1.0}

CASES = [
    # Values that nearly always lie outside; bang-bang control that was learnt is healthy.
    *cases(
        "action_clipping",
        {},
        (("warn", 8), {"action_clip_fraction": from_row(8, 0.97, 0.3)}),
        ("warn", {"action_clip_fraction": 0.91}),
        (None, {"action_clip_fraction": 0.89}),
        (None, {"action_clip_fraction": 0.33}),
    ),
    case("action_clipping", None, {"action_clip_fraction": 1.0}, 60, score=rising),
    case("action_clipping", None, {"action_clip_fraction": 1.0}, 4, 27),
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
    # Samples without any difference; a single one has nothing to differ from.
    *cases(
        "advantages_flat",
        FLAT,
        (("warn", 1), {}),
        ("warn", {"v_star_flat_fraction": 0.96}),
        (None, {"v_star_flat_fraction": 0.94}),
        (None, {"v_star_flat_fraction": LIMIT["advantages_flat"]["flat_fraction"]}),
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
    # An end now and then is healthy, and so is a fixed horizon in which something is learnt.
    *cases(
        "always_truncated",
        CUT,
        (("note", 1), {}),
        (None, {"truncated_fraction": 0.98}),
        (None, {"episode_length": lambda i: 150.0 + i}),
        ("note", {"episode_length": lambda i: 200 * (1 + 0.95e-6 * (i % 2))}),
        (None, {"episode_length": lambda i: 200 * (1 + 1.05e-6 * (i % 2))}),
        n=60,
    ),
    case("always_truncated", None, CUT, 60, score=rising),
    case("always_truncated", None, CUT, 15, 100),
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
    *cases(
        "dead_units",
        {},
        (None, {"dead_unit_fraction": from_row(4, 0.4, 0.1)}),
        (("warn", 4), {"dead_unit_fraction": from_row(4, 0.7, 0.1)}),
        (("stop", 4), {"dead_unit_fraction": from_row(4, 1.0, 0.1)}),
        (None, {"dead_unit_fraction": 0.48}),
        ("warn", {"dead_unit_fraction": 0.52}),
        ("warn", {"dead_unit_fraction": 0.98}),
        ("stop", {"dead_unit_fraction": 0.995}),
    ),
    case("dead_units", None, {"dead_unit_fraction": 0.8}, 60, score=rising),
    case("dead_units", None, {"dead_unit_fraction": 1.0}, 4, 27),
    # Features of which a few change are healthy; without any part the policy is blind.
    *cases(
        "encoder_constant",
        {"encoder_constant_fraction": from_row(4, 1.0, 0.2)},
        (("stop", 4), {"feature_constant_fraction": 1.0}),
        (("warn", 4), {"feature_constant_fraction": 0.99}),
        (("warn", 4), {}),
        (None, {"encoder_constant_fraction": 0.99, "feature_constant_fraction": 0.99}),
        (None, {"encoder_constant_fraction": lambda i: NAN if i > 25 else 1.0}),
    ),
    case("encoder_constant", None, BLIND, 60, score=rising),
    case("encoder_constant", None, BLIND, 8, 27),
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
        ("warn", {"entropy_normalised": LIMIT["entropy_without_gradient"]["low"]}),
        ("warn", {"entropy": LIMIT["entropy_without_gradient"]["low"]}),
        ("warn", {"entropy_normalised": LIMIT["entropy_without_gradient"]["high"]}),
        n=30,
    ),
    case("entropy_without_gradient", ("note", 1), NO_ENTROPY, 60, score=rising),
    case("entropy_without_gradient", ("warn", 1), NO_ENTROPY, 5, 81),
    case("entropy_without_gradient", None, NO_ENTROPY, 4, 27),
    # Half of the run may explore.
    *cases(
        "exploration_never_decays",
        {},
        (("warn", 1), {"exploration_rate": 1.0}),
        (None, {"exploration_rate": lambda i: max(0.05, 1 - 0.05 * i)}),
        ("warn", {"exploration_rate": 0.91}),
        (None, {"exploration_rate": 0.89}),
        n=40,
        score=None,
    ),
    case("exploration_never_decays", None, {"exploration_rate": 1.0}, 20, 40, score=None),
    *cases(
        "gamma_too_low",
        LOW,
        (("warn", 1), {}),
        ("warn", {"gamma": 0.48}),
        (None, {"gamma": 0.52}),
        ("warn", {"episode_length": 10}),
        (None, {"episode_length": 9.5}),
        n=40,
        score=flat(45)[:40],
    ),
    case("gamma_too_low", None, LOW, 40, score=rising),
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
    *cases(
        "groups_without_signal",
        {},
        (None, {"group_signal": from_row(9, 0.3, 0.9)}),
        (("note", 9), {"group_signal": from_row(9, 0.2, 0.9)}),
        (("note", 9), {"group_signal": from_row(9, 0.2, 0.25)}),
        (("warn", 9), {"group_signal": from_row(9, 0.05, 0.9)}),
        (("stop", 9), {"group_signal": from_row(9, 0.0, 0.9)}),
        (None, {"group_signal": NAN}),
        (None, {"group_signal": 0.26}),
        ("note", {"group_signal": 0.24}),
        ("note", {"group_signal": 0.11}),
        ("warn", {"group_signal": 0.09}),
        ("warn", {"group_signal": 0.02}),
        ("stop", {"group_signal": 0.005}),
    ),
    # A solved task has no signal and is healthy.
    case("groups_without_signal", None, {"group_signal": from_row(30, 0, 0.8)}, 60, score=rising),
    case("groups_without_signal", None, {"group_signal": 0.0}, 9, 200),
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
    *cases(
        "memory_unused",
        {},
        (("warn", 4), {"memory_effect_fraction": from_row(4, 0.004, 0.4)}),
        (None, {"memory_effect_fraction": from_row(4, 0.006, 0.4)}),
        (None, {"memory_effect_fraction": lambda i: NAN if i > 25 else 0.0}),
    ),
    case("memory_unused", ("note", 1), {"memory_effect_fraction": 0.0}, 60, score=rising),
    case("memory_unused", None, {"memory_effect_fraction": 0.0}, 8, 27),
    # Nothing is said before the score can be judged.
    case("memory_unused", None, {"memory_effect_fraction": 0.0}, score=[*flat(7), *[NAN] * 20]),
    case(
        "no_progress_in_episode",
        ("note", 6),
        {"episode_improvement": from_row(6, -0.1, 0.1)},
        39,
        100,
    ),
    case(
        "no_progress_in_episode",
        ("warn", 6),
        {"episode_improvement": from_row(6, -0.1, 0.1)},
        40,
        100,
    ),
    case("no_progress_in_episode", None, {"episode_improvement": -0.1}, 60, score=rising),
    case("no_progress_in_episode", "warn", {"episode_improvement": 0.0}, 60),
    case("no_progress_in_episode", None, {"episode_improvement": 0.01}, 60),
    case("no_updates", ("warn", 1), {"updates": 0}, 49, 100, score=None),
    case("no_updates", ("stop", 1), {"updates": 0}, 50, 100, score=None),
    case("no_updates", None, {"updates": from_row(25, 1.0, 0.0)}, 30, score=None),
    # Constant numbers among others are healthy; a whole observation has a rule of its own.
    *cases(
        "normaliser_without_spread",
        {"normaliser_constant_fraction": 1.0},
        (("warn", 4), {"normaliser_constant_fraction": from_row(4, 1.0, 0.2)}),
        (None, {"normaliser_constant_fraction": 0.99}),
        (None, {"normaliser_constant_fraction": lambda i: NAN if i > 25 else 1.0}),
        (None, {"observation_constant_fraction": 1.0}),
        (("warn", 1), {"observation_constant_fraction": 0.9}),
    ),
    case("normaliser_without_spread", None, {"normaliser_constant_fraction": 1}, 60, score=rising),
    case("normaliser_without_spread", None, {"normaliser_constant_fraction": 1.0}, 4, 27),
    case("normaliser_without_spread", None, {"normaliser_constant_fraction": 1.0}, 7, 27),
    # A bandit that is learnt is healthy.
    *cases(
        "observation_constant",
        {},
        (("stop", 1), {"observation_constant_fraction": 1.0}),
        (None, {"observation_constant_fraction": 0.9}),
        (None, {"observation_constant_fraction": lambda i: NAN if i > 25 else 1.0}),
    ),
    case("observation_constant", ("note", 1), {"observation_constant_fraction": 1.0}, 3, 81),
    case("observation_constant", None, {"observation_constant_fraction": 1.0}, 2, 81),
    case("observation_constant", None, {"observation_constant_fraction": 1.0}, 60, score=rising),
    # Dead units turn a note into a warning.
    *cases(
        "observation_scale",
        {},
        (("note", 3), {"observation_abs_max": from_row(3, 1e6, 1.0)}),
        (("warn", 3), {"observation_abs_max": from_row(3, 1e6, 1.0), "dead_unit_fraction": 0.8}),
        ("note", {"observation_abs_max": 105}),
        (None, {"observation_abs_max": 95}),
        (None, {"observation_abs_max": 40}),
        ("warn", {"observation_abs_max": 1e6, "dead_unit_fraction": 0.52}),
        ("note", {"observation_abs_max": 1e6, "dead_unit_fraction": 0.48}),
    ),
    case("observation_scale", None, {"observation_abs_max": 1e6}, 60, score=rising),
    case("observation_scale", None, {"observation_abs_max": 1e6}, 4, 27),
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
    case("range_unused", ("note", 6), {"range_utilisation": from_row(6, 0.1, 0.5)}, 39, 100),
    case("range_unused", ("warn", 6), {"range_utilisation": from_row(6, 0.1, 0.5)}, 40, 100),
    case("range_unused", None, {"range_utilisation": 0.1}, 60, score=rising),
    case("range_unused", "warn", {"range_utilisation": 0.29}, 60),
    case("range_unused", None, {"range_utilisation": 0.31}, 60),
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


@pytest.mark.parametrize(
    ("symptom", "rows", "name", "values", "metrics"),
    [
        ("action_clipping", 5, "action_clip_fraction", (1.0, 0.3, 0.85), {}),
        ("advantage_clipping", 5, "advantage_clip_fraction", (1.0, 0.0, 0.45), {}),
        ("dead_units", 5, "dead_unit_fraction", (1.0, 0.0, 0.45), {}),
        ("gradients_always_clipped", 10, "grad_clip_fraction", (1.0, 0.5, 0.5), {}),
        ("groups_without_signal", 5, "group_signal", (0.0, 1.0, 0.3), {}),
        ("no_progress_in_episode", 10, "episode_improvement", (-0.1, 2.0, 2.0), {}),
        ("observation_scale", 5, "observation_abs_max", (150, 1, 90), {}),
        ("range_unused", 10, "range_utilisation", (0.1, 1.0, 1.0), {}),
        ("v_star_optimistic", 5, "advantage_negative_fraction", (1.0, 0.5, 0.94), NEGATIVE),
    ],
)
def test_the_median_of_the_last_rows_is_judged(symptom, rows, name, values, metrics):
    score = flat(60 if rows == 10 else 27)
    assert_judges_median(RULES[symptom], rows, name, *values, **metrics | {"score": score})


@pytest.mark.parametrize(
    ("symptom", "rows", "name", "sick", "healthy", "metrics"),
    [
        ("always_truncated", 10, "truncated_fraction", 1.0, 0.9, CUT),
        ("clip_range_too_small", 5, "clip_fraction", 0.99, 0.1, CLIP),
        ("encoder_constant", 9, "encoder_constant_fraction", 1.0, 0.9, BLIND),
        ("exploration_never_decays", 5, "exploration_rate", 1.0, 0.5, {}),
        ("memory_unused", 9, "memory_effect_fraction", 0.0, 0.1, {}),
        ("normaliser_without_spread", 5, "normaliser_constant_fraction", 1.0, 0.9, {}),
        ("update_ratio", 5, "update_ratio", 0.6, 0.05, {}),
        ("v_star_pessimistic", 5, "advantage_negative_fraction", 0.0, 0.5, POSITIVE),
    ],
)
def test_all_of_the_last_rows_must_be_sick(symptom, rows, name, sick, healthy, metrics):
    assert_needs_last(RULES[symptom], rows, name, sick, healthy, **metrics | {"score": flat(40)})


@pytest.mark.parametrize(
    ("symptom", "rows", "budget", "metrics"),
    [
        ("always_truncated", 20, 100, CUT),
        ("exploration_never_decays", 60, 100, {"exploration_rate": 1.0}),
        ("gamma_too_low", 15, 45, LOW),
        ("groups_without_signal", 20, 200, {"group_signal": 0.0}),
        ("no_progress_in_episode", 20, 100, {"episode_improvement": -0.1}),
        ("no_updates", 8, 24, {"updates": 0}),
        ("no_updates", 20, 100, {"updates": 0}),
        ("range_unused", 20, 100, {"range_utilisation": 0.1}),
        ("update_ratio", 20, 200, {"update_ratio": 0.6}),
        ("v_star_optimistic", 20, 100, NEGATIVE),
        ("v_star_pessimistic", 20, 100, POSITIVE),
    ],
)
def test_a_rule_waits_for_rows_and_budget(symptom, rows, budget, metrics):
    assert_starts_at(RULES[symptom], rows, budget, score=flat(200), **metrics)


@pytest.mark.parametrize(
    ("symptom", "name", "sick", "metrics"),
    [
        ("action_clipping", "action_clip_fraction", 1.0, {}),
        ("advantage_clipping", "advantage_clip_fraction", 1.0, {}),
        ("always_truncated", "truncated_fraction", 1.0, CUT),
        ("dead_units", "dead_unit_fraction", 1.0, {}),
        ("exploration_never_decays", "exploration_rate", 1.0, {}),
        ("gamma_too_low", "episode_length", 20.0, LOW),
        ("no_progress_in_episode", "episode_improvement", -0.1, {}),
        ("no_updates", "updates", 0.0, {}),
        ("observation_scale", "observation_abs_max", 1e6, {}),
        ("range_unused", "range_utilisation", 0.1, {}),
        ("update_ratio", "update_ratio", 0.6, {}),
        ("v_star_pessimistic", "advantage_negative_fraction", 0.0, {"advantage_mean": 0.4}),
    ],
)
def test_rows_without_the_metric_are_left_out(symptom, name, sick, metrics):
    assert_skips_nan(RULES[symptom], 40, name, sick, **metrics | {"score": flat(40)})


@pytest.mark.parametrize(
    ("symptom", "metrics", "words"),
    [
        (
            "gradients_always_clipped",
            CLIPPED | {"grad_norm": 0.8, "grad_clip": 0.1},
            "the norm is 8 times the limit",
        ),
        (
            "update_ratio",
            {"update_ratio": 0.6, "lr": 0.1},
            "by 0.6 of their size at a learning rate of 0.1",
        ),
        (
            "v_star_optimistic",
            NEGATIVE | {"return_mean": 0.1, "advantage_std": 0.05},
            "by 0.8 on average (returns 0.1, V* 0.9), 16 times the",
        ),
        ("v_star_optimistic", NEGATIVE | {"advantage_std": 0.078}, "times the standard deviation"),
        ("v_star_optimistic", NEGATIVE | {"advantage_std": 0.082}, "by 0.8 on average, and"),
        ("v_star_pessimistic", POSITIVE, "beat V* (the last by 0.4 on average)"),
        ("v_star_without_success", FAILED, "100% of 100 starts none of the reference's 8 samples"),
        ("advantages_flat", FLAT, "from 100% of 100 starts all samples"),
    ],
)
def test_the_evidence_has_the_values(symptom, metrics, words):
    finding = RULES[symptom](history(60, score=flat(60), **metrics))
    assert finding and words in finding.evidence


@pytest.mark.parametrize(
    ("symptom", "metrics"), [("advantages_flat", FLAT), ("v_star_without_success", FAILED)]
)
def test_stage_1_is_judged_while_it_runs(symptom, metrics):
    finding = RULES[symptom](History([{"iteration": 0, **metrics, "v_star_starts_left": 900}], 100))
    assert finding and finding.since == 0


@pytest.mark.parametrize(("gamma", "found"), [(0.45, True), (0.55, False)])
def test_a_setting_counts_where_no_metric_is_logged(gamma, found):
    rows = make_rows(30, score=flat(30), episode_length=100)
    diagnosis = diagnose(History(rows, 30, settings={"gamma": gamma}))
    assert ("gamma_too_low" in {f.symptom for f in diagnosis.findings}) is found
    assert "gamma_too_low" in diagnosis.judged
