# pyright: basic
"""Rules that judge the course of a metric: sick and healthy runs, each threshold, warm-up, NaN."""

import dataclasses
import math

import numpy as np
import pytest
from health_runs import (
    Case,
    Metrics,
    assert_judges_median,
    assert_skips_nan,
    assert_starts_at,
    case,
    cases,
    flat,
    from_row,
    history,
    rising,
    scores_with_tau,
)

from tune_jobs.health import RULES

NAN = math.nan
SAME: Metrics = {"return_mean": -200.0, "episodes": 5, "score": -200.0}
MOVES: Metrics = {"entropy": 1.3, "kl": 1e-4, "clip_fraction": 0.0, "entropy_normalised": 0.995}
NOISE: Metrics = {"explained_variance": flat(60, 0.0, 0.01), "value_loss": 1.0}
LARGE: Metrics = {"target_abs_max": 5e4, "value_loss": 1e8, "explained_variance": 0.0}
TINY: Metrics = {"explained_variance": 0.0, "value_loss": 1e-9, "return_mean": 1e-5}
THOUGHTS: Metrics = {
    **{"log_p_with": -0.05, "log_p_without": -1.6, "log_p_shuffled": -4.0, "log_p_random": -3.3},
}
SHAPED: Metrics = {"success_rate": 0.0, "episodes": 20, "reward_std": 0.3}
CERTAIN: Metrics = {"entropy": 0.2}
# The edges post-mortem: 8.83 nats of 8.96 fall to 0.004, the reward stays flat.
EDGES = [8.83 * math.exp(-0.5 * i) + 0.004 for i in range(40)]
FIRST_UPDATES = [0.14, 0.089, 0.106, 0.058, 0.293, 0.028, 0.131, 0.028, 0.011, 0.012, 0.007, 0.057]
"""KL of a healthy run of DPO after a warm start, whose first updates move a policy furthest."""


def grown(rise: float) -> list[float]:
    """An entropy that rises by this many nats, and ends level."""
    return [1 + rise * k / 37 for k in range(37)] + [1 + rise] * 3


def rising_entropy(tau: float) -> list[float]:
    """An entropy with this Kendall's tau: the first is the lowest and the last are the highest."""
    middle = [2.0 + 1e4 * (s - 1) / 36 for s in scores_with_tau(36, (tau * 780 - 144) / 630)]
    return [1.0, *middle, 13.0, 13.0, 13.0]


CASES = [
    case("constant_reward", ("warn", 1), SAME, 30, 100, None),
    case("constant_reward", "warn", SAME, 59, 100, None),
    case("constant_reward", ("stop", 1), SAME, 60, 100, None),
    # A log of others has only a moving average.
    case("constant_reward", ("stop", 1), {"score": 0.0, "return_mean_100": 0.0}, 60, score=None),
    *cases(
        "constant_reward",
        SAME,
        (None, {"return_mean": 0.0, "zero_reward_fraction": 1.0}),
        (None, {"return_mean": from_row(5, 500.0, 22.0)}),
        (None, {"return_mean": NAN}),
        ("stop", {"return_mean": lambda i: -200 * (1 + 0.95e-6 * (i % 2))}),
        (None, {"return_mean": lambda i: -200 * (1 + 1.05e-6 * (i % 2))}),
        n=60,
        score=None,
    ),
    case("constant_reward", "warn", SAME | {"episodes": 2.6}, 20, 60, None),
    case("constant_reward", None, SAME | {"episodes": 2.4}, 20, 60, None),
    # A budget of a few iterations: one return, or two, are always constant.
    case("constant_reward", None, {"return_mean": 30.0, "score": 30.0}, 2, score=None),
    case("constant_reward", "stop", {"return_mean": 30.0, "score": 30.0}, 3, score=None),
    case(
        "constant_reward",
        ("warn", 1),
        {**SAME, "episodes": 20, "score": 0.0, "return_mean": lambda i: -200.0 if i % 2 else NAN},
        *(10, 30, None),
    ),
    # Low entropy alone is healthy; that of a continuous policy may be negative: its fall counts.
    *cases(
        "entropy_collapse",
        CERTAIN,
        (("stop", 12), {"entropy": EDGES}),
        (("stop", 7), {"entropy": EDGES, "entropy_normalised": [e / 8.96 for e in EDGES]}),
        (None, {"entropy_normalised": 0.14}),
        (None, {"entropy": lambda i: 0.5 - 0.05 * i}),
        (("warn", 22), {"entropy": lambda i: 1.4 - 0.2 * i}),
        (("stop", 28), {"entropy": lambda i: NAN if i % 2 else 0.0}),
        ("stop", {"entropy_normalised": 0.048}),
        (None, {"entropy_normalised": 0.052}),
        (None, {"entropy_normalised": 0.05}),
        ("stop", {"entropy": 0.048}),
        (None, {"entropy": 0.052}),
        (None, {"entropy": 0.05}),
        ("warn", {"entropy": from_row(5, 1 - 3.95, 1.0)}),
        (None, {"entropy": from_row(5, 1 - 3.85, 1.0)}),
        n=40,
    ),
    case("entropy_collapse", "stop", {"entropy": 0.01}, 40, score=scores_with_tau(40, 0.29)),
    case("entropy_collapse", None, {"entropy": 0.01}, 40, score=scores_with_tau(40, 0.31)),
    case("entropy_collapse", None, {"entropy": lambda i: 1.4 * 0.9**i}, 100, score=rising),
    # It had learnt by its first row, and its score still tends upwards.
    case("entropy_collapse", None, {"entropy": 0.01}, 60, score=np.linspace(19, 19.9, 60)),
    # A falling entropy is healthy before the score rises; a policy that stands still is frozen.
    *cases(
        "entropy_stuck_at_max",
        MOVES,
        (("warn", 1), {}),
        (None, {"kl": 1e-9}),
        ("warn", {"entropy_normalised": 0.985}),
        (None, {"entropy_normalised": 0.975}),
        (None, {"entropy_normalised": 0.98}),
        ("warn", {"entropy_normalised": 0.98 + 1e-6}),
        ("warn", {"entropy_normalised": from_row(51, 0.9855, 0.995)}),
        (None, {"entropy_normalised": from_row(51, 0.9845, 0.995)}),
        n=60,
    ),
    case("entropy_stuck_at_max", "warn", MOVES, 60, score=scores_with_tau(60, 0.29)),
    case("entropy_stuck_at_max", None, MOVES, 60, score=scores_with_tau(60, 0.31)),
    *(
        case(
            "entropy_stuck_at_max",
            expected,
            MOVES | {"entropy_normalised": share},
            60,
            score=scores_with_tau(60, 0.5),
        )
        for share, expected in ((0.9995, "warn"), (0.9985, None))
    ),
    case("entropy_stuck_at_max", None, MOVES, 60, score=rising),
    case("entropy_stuck_at_max", ("warn", 1), MOVES, 27, 81),
    case("entropy_stuck_at_max", None, MOVES, 15, 100),
    case("entropy_stuck_at_max", None, MOVES, 11, 40),
    case(
        "entropy_stuck_at_max", None, MOVES | {"entropy_normalised": from_row(28, 0.995, NAN)}, 30
    ),
    case(
        "entropy_stuck_at_max",
        None,
        MOVES,
        *(20, 60, (0.01 * np.arange(20) + flat(20, noise=0.1)).tolist()),
    ),
    *(
        case(
            "entropy_stuck_at_max",
            None,
            MOVES | {"entropy_normalised": lambda i: 1 - 0.003 * i},
            n,
            60,
        )
        for n in range(1, 28)
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
    case("kl_runaway", "warn", {"kl": 0.15}, 22, score=scores_with_tau(22, 0.18)),
    case("kl_runaway", None, {"kl": 0.15}, 22, score=scores_with_tau(22, 0.22)),
    case("kl_runaway", ("stop", 4), {"kl": from_row(4, 14.2, 0.02)}, 4, 27),
    case("kl_runaway", ("stop", 4), {"kl": from_row(4, math.inf, 0.02)}, 4, 27, None),
    case("kl_runaway", ("warn", 11), {"kl": from_row(11, 0.15, 0.01)}, 30),
    case("kl_runaway", None, {"kl": 0.37}, 30, score=rising),
    case("kl_runaway", ("warn", 1), {"kl": 12.0}, 60, score=rising),
    # CartPole at a learning rate of .1: the policy is deterministic after two updates.
    case("kl_runaway", ("warn", 1), {"kl": [1.66, 3.09, 0.0]}, 3, 40, [22.5, 11.3, 9.3]),
    case("kl_runaway", None, {"kl": [1.66, 3.09]}, 2, 40, [22.5, 11.3]),
    # The median of few updates has a higher limit.
    case("kl_runaway", None, {"kl": [0.48, 0.48, 0.0]}, 3, 40, [1.0] * 3),
    case("kl_runaway", ("warn", 1), {"kl": [0.52, 0.52, 0.0]}, 3, 40, [1.0] * 3),
    *(case("kl_runaway", None, {"kl": FIRST_UPDATES[:n]}, n, 400) for n in range(1, 13)),
    case("kl_runaway", ("warn", 1), {"kl": 0.15}, 10, 400),
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
    case("low_explained_variance", None, NOISE, 13, 27),
    case("low_explained_variance", ("stop", 1), NOISE, 14, 27),
    # Discrete policies alone have a floor of the entropy; one that imitated is noted.
    *cases(
        "no_exploration",
        CERTAIN,
        ("warn", {"entropy_normalised": 0.048}),
        (None, {"entropy_normalised": 0.052}),
        ("warn", {"entropy": 0.048}),
        (None, {"entropy": 0.052}),
        (None, {"entropy": -1.5}),
        (None, {"entropy": from_row(3, 0.01, 1.0)}),
        (("note", 1), {"entropy": 0.01, "warm_start_loss": lambda i: 0.3 if i == 1 else None}),
    ),
    case("no_exploration", "warn", {"entropy": 0.01}, score=scores_with_tau(27, 0.19)),
    case("no_exploration", None, {"entropy": 0.01}, score=scores_with_tau(27, 0.21)),
    case("no_exploration", None, {"entropy": 0.01}, score=rising),
    case("no_exploration", None, {"entropy": 0.01}, 6, 27, [1.0, 2, 3, 4, 5, 6]),
    case("no_exploration", ("warn", 1), {"entropy": 0.01}, 5, 81),
    case("no_exploration", ("warn", 1), {"entropy": 0.2, "entropy_normalised": 0.02}, 5, 81),
    case("no_exploration", None, {"entropy": 0.01}, 4, 27),
    # A rising score without success only warns; one found late is healthy.
    case("no_success", None, SHAPED, 49, 100),
    case("no_success", ("warn", 1), SHAPED, 50, 100),
    case("no_success", "warn", SHAPED, 59, 100),
    case("no_success", ("stop", 1), SHAPED, 60, 100),
    case("no_success", ("warn", 1), SHAPED, 90, 100, rising),
    case("no_success", None, SHAPED | {"reward_std": 0.0, "return_mean": -50.0}, 90, 100),
    case("no_success", ("stop", 1), {"success_rate": 0.0, "return_mean_100": flat(120)}, 120),
    case("no_success", None, SHAPED | {"success_rate": NAN}, 90, 100),
    case("no_success", "stop", SHAPED | {"episodes": 1.7}, 60, 100),
    case("no_success", None, SHAPED | {"episodes": 1.6}, 60, 100),
    *(
        case("no_success", None, SHAPED | {"success_rate": from_row(42, 0.1, 0.0)}, n, 100)
        for n in range(42, 101, 3)
    ),
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
    # A rise that has ended is healthy.
    *cases(
        "std_blowup",
        {},
        (("stop", 25), {"entropy": lambda i: 1.4 + 0.06 * i}),
        (None, {"entropy": lambda i: min(3.0, 1.4 + 0.8 * i)}),
        ("stop", {"entropy": grown(1.42)}),
        (None, {"entropy": grown(1.36)}),
        ("stop", {"entropy": rising_entropy(0.55)}),
        (None, {"entropy": rising_entropy(0.45)}),
        ("stop", {"entropy": lambda i: NAN if i % 2 else 0.06 * i}),
        (None, {"entropy": NAN}),
        ("stop", {"entropy": lambda i: 0.6 * i if i > 35 else NAN}),
        (None, {"entropy": lambda i: 0.6 * i if i > 36 else NAN}),
        n=40,
    ),
    case("std_blowup", None, {"entropy": lambda i: 1.4 + 0.06 * i}, 40, score=rising),
    # Thoughts that bring the answer are healthy; an answer known without one is not judged.
    *cases(
        "theatre",
        THOUGHTS,
        (None, {}),
        (("stop", 1), {"log_p_with": -1.6}),
        (("stop", 1), {"log_p_with": -1.55, "log_p_random": -1.6}),
        (("stop", 1), {"log_p_shuffled": -0.5}),
        (("stop", 1), {"log_p_random": -1.4}),
        (("stop", 40), {"log_p_with": lambda i: -0.05 if i < 40 else -1.6}),
        (None, {"log_p_with": -0.01, "log_p_without": -0.02}),
        (None, {"log_p_with": -1.6 + 0.105}),
        ("stop", {"log_p_with": -1.6 + 0.095}),
        ("stop", {"log_p_with": -0.1, "log_p_without": -0.105}),
        (None, {"log_p_with": -0.09, "log_p_without": -0.095}),
        (None, {"log_p_shuffled": -0.05 - 0.8}),
        ("stop", {"log_p_shuffled": -0.05 - 0.75}),
        (None, {"log_p_random": -1.6 + 0.15}),
        ("stop", {"log_p_random": -1.6 + 0.16}),
        ("stop", {"log_p_with": [s - 2.6 for s in scores_with_tau(60, 0.19)]}),
        (None, {"log_p_with": [s - 2.6 for s in scores_with_tau(60, 0.21)]}),
        n=60,
    ),
    *cases(
        "theatre",
        THOUGHTS,
        ("warn", {"log_p_with": -1.6}),
        ("warn", {"log_p_with": -1.55, "log_p_random": -1.6}),
        ("warn", {"log_p_shuffled": -0.5}),
        ("warn", {"log_p_random": -1.4}),
        n=60,
        score=rising,
    ),
    case("theatre", None, THOUGHTS | {"log_p_with": lambda i: -1.65 + 0.002 * i}, 30, 60, rising),
    case("theatre", "warn", THOUGHTS | {"log_p_with": -1.6}, 30, 60),
    case("theatre", "warn", THOUGHTS | {"log_p_with": -1.6}, 59, 100),
    case("theatre", "stop", THOUGHTS | {"log_p_with": -1.6}, 60, 100),
    case("theatre", None, THOUGHTS | {"log_p_with": -1.6}, 10, 60),
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


@pytest.mark.parametrize(
    ("symptom", "rows", "budget", "metrics"),
    [
        ("constant_reward", 10, 30, SAME | {"episodes": 20}),
        ("constant_reward", 20, 100, SAME | {"episodes": 20}),
        ("entropy_collapse", 8, 30, {"entropy": 0.01, "score": 1.0}),
        ("entropy_stuck_at_max", 12, 36, MOVES),
        ("entropy_stuck_at_max", 20, 100, MOVES),
        ("low_explained_variance", 15, 45, {"explained_variance": 0.0}),
        ("low_explained_variance", 20, 100, {"explained_variance": 0.0}),
        ("reward_scale", 20, 100, LARGE),
        ("std_blowup", 10, 30, {"entropy": lambda i: 0.5 * i}),
        ("theatre", 30, 100, THOUGHTS | {"log_p_with": -1.6}),
    ],
)
def test_a_rule_waits_for_rows_and_budget(symptom, rows, budget, metrics):
    assert_starts_at(RULES[symptom], rows, budget, **{"score": flat(200)} | metrics)


def test_the_median_of_ten_rows_is_judged():
    sizes, thoughts = {**LARGE, "score": flat(60)}, {**THOUGHTS, "score": flat(60)}
    assert_judges_median(RULES["reward_scale"], 10, "target_abs_max", 150, 10, 10, **sizes)
    assert_judges_median(RULES["theatre"], 10, "log_p_with", -1.6, -0.05, -0.05, **thoughts)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan(RULES["no_exploration"], 27, "entropy", 0.01, score=flat(27))
    sizes, thoughts = {**LARGE, "score": flat(60)}, {**THOUGHTS, "score": flat(60)}
    assert_skips_nan(RULES["reward_scale"], 60, "target_abs_max", 50000.0, **sizes)
    assert_skips_nan(RULES["theatre"], 60, "log_p_with", -1.6, **thoughts)


@pytest.mark.parametrize(
    ("symptom", "metrics", "words"),
    [
        ("no_exploration", {"entropy": 0.01, "warm_start_loss": 0.3}, "after a warm start"),
        ("no_exploration", {"entropy": 0.01}, "above 0.01 in 27 iterations"),
        (
            "reward_scale",
            LARGE,
            "target_abs_max is 5e+04 in size over the last 10 iterations, explained variance is 0",
        ),
    ],
)
def test_the_evidence_has_the_values(symptom, metrics, words):
    finding = RULES[symptom](history(27, score=flat(27), **metrics))
    assert finding and words in finding.evidence


@pytest.mark.parametrize("other", ["normalise_values", "normalise_advantages"])
def test_size_is_no_fault_of_standardised_values_and_advantages(other: str):
    both = {"normalise_values": True, "normalise_advantages": True}
    run = dataclasses.replace(history(27, score=flat(27), **TINY), settings=both)
    assert RULES["reward_scale"](run) is None
    assert RULES["reward_scale"](dataclasses.replace(run, settings=both | {other: False}))


def test_a_late_goal_is_never_stopped():
    late: Metrics = {**SAME, "return_mean": from_row(41, -120.0, -200.0)}
    rule = RULES["constant_reward"]
    found = {f.severity for n in range(1, 101) if (f := rule(history(n, 100, **late)))}
    assert found == {"warn"}
