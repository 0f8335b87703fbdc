"""Rules about entropy: sick and healthy runs, each threshold, warm-up and NaN."""

import dataclasses
import math

import numpy as np
import pytest
from health_runs import Case, Metrics, case, cases, flat, from_row, history, rising, scores_with_tau
from rule_checks import assert_evidence, assert_needs_last, assert_skips_nan, assert_starts_at

from rungwise.health import RULES
from rungwise.health.remedy import OtherLibrary

NAN = math.nan
MOVES: Metrics = {"entropy": 1.3, "kl": 1e-4, "clip_fraction": 0.0, "entropy_normalised": 0.995}
CERTAIN: Metrics = {"entropy": 0.2}
# The edges post-mortem: 8.83 nats of 8.96 fall to 0.004, the reward stays flat.
EDGES = [8.83 * math.exp(-0.5 * i) + 0.004 for i in range(40)]


def grown(rise: float) -> list[float]:
    """An entropy that rises by this many nats, and ends level."""
    return [1 + rise * k / 37 for k in range(37)] + [1 + rise] * 3


def rising_entropy(tau: float) -> list[float]:
    """An entropy with this Kendall's tau: the first is the lowest and the last are the highest."""
    middle = [2.0 + 1e4 * (s - 1) / 36 for s in scores_with_tau(36, (tau * 780 - 144) / 630)]
    return [1.0, *middle, 13.0, 13.0, 13.0]


CASES = [
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
        for share, expected in ((0.9955, "warn"), (0.9945, None))
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
    # A rise that has ended is healthy.
    *cases(
        "std_blowup",
        {},
        (("warn", 25), {"entropy": lambda i: 1.4 + 0.06 * i}),
        (None, {"entropy": lambda i: min(3.0, 1.4 + 0.8 * i)}),
        ("warn", {"entropy": grown(1.42)}),
        (None, {"entropy": grown(1.36)}),
        ("warn", {"entropy": rising_entropy(0.55)}),
        (None, {"entropy": rising_entropy(0.45)}),
        ("warn", {"entropy": lambda i: NAN if i % 2 else 0.06 * i}),
        (None, {"entropy": NAN}),
        ("warn", {"entropy": lambda i: 0.6 * i if i > 35 else NAN}),
        (None, {"entropy": lambda i: 0.6 * i if i > 36 else NAN}),
        n=40,
    ),
    case("std_blowup", None, {"entropy": lambda i: 1.4 + 0.06 * i}, 40, score=rising),
    # Of the standard deviation itself a fourfold one of at least four, whatever the score.
    *cases(
        "std_blowup",
        {},
        (("warn", 14), {"action_std": lambda i: 1 + 0.25 * (i - 1)}),
        ("warn", {"action_std": lambda i: 1.0 if i < 10 else 4.1}),
        (None, {"action_std": lambda i: 1.0 if i < 10 else 3.9}),
        (None, {"action_std": lambda i: 0.1 if i < 10 else 3.9}),
        (None, {"action_std": lambda i: 2.0 if i < 10 else 7.9}),
        (None, {"action_std": lambda i: 9.0 if i < 38 else 1.0}),
        (None, {"action_std": NAN}),
        n=40,
    ),
    case("std_blowup", "warn", {"action_std": lambda i: float(i)}, 40, score=rising),
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
]


@pytest.mark.parametrize("run", CASES, ids=str)
def test_severity_and_onset(run: Case):
    run.check()


@pytest.mark.parametrize(
    ("symptom", "differ", "expected"),
    [
        ("entropy_collapse", 0.0, "warn"),
        ("entropy_collapse", 0.24, "warn"),
        ("entropy_collapse", 0.26, None),
        ("no_exploration", 0.24, "warn"),
        ("no_exploration", 0.26, None),
    ],
)
def test_the_entropy_of_a_token_ends_no_run(symptom: str, differ: float, expected: str | None):
    """Most tokens are forced, and groups whose returns differ show that completions do."""
    run = history(40, entropy=0.01, group_signal=differ, score=flat(40))
    tokens = dataclasses.replace(run, other=OtherLibrary({}, chooses_tokens=True))
    finding = RULES[symptom](tokens)
    assert (finding.severity if finding else None) == expected
    other = RULES[symptom](run)
    assert other and other.severity == ("stop" if symptom == "entropy_collapse" else "warn")


def test_a_rising_entropy_of_an_unknown_language_model_only_warns():
    """It may be the sum over a completion, which grows with its length."""
    run = history(40, entropy=lambda i: 0.1 * i, score=flat(40))
    for names, expected in (({}, "stop"), (None, "warn")):
        finding = RULES["std_blowup"](
            dataclasses.replace(run, other=OtherLibrary(names, chooses_tokens=True))
        )
        assert finding and finding.severity == expected


def test_a_rule_waits_for_rows_and_budget():
    assert_starts_at("entropy_collapse", 8, 30, entropy=0.01, score=1.0)
    assert_starts_at("entropy_stuck_at_max", 12, 36, **MOVES)
    assert_starts_at("entropy_stuck_at_max", 20, 100, **MOVES)
    assert_starts_at("std_blowup", 10, 30, entropy=lambda i: 0.5 * i)
    assert_starts_at("exploration_never_decays", 60, 100, exploration_rate=1.0)


def test_the_evidence_has_the_values():
    assert_evidence("no_exploration", "after a warm start", entropy=0.01, warm_start_loss=0.3)
    assert_evidence("no_exploration", "above 0.01 in 60 iterations", entropy=0.01)


def test_rows_without_the_metric_are_left_out():
    assert_skips_nan("no_exploration", "entropy", 0.01)
    assert_skips_nan("exploration_never_decays", "exploration_rate", 1.0)


def test_all_of_the_last_rows_must_be_sick():
    assert_needs_last("exploration_never_decays", 5, "exploration_rate", 1.0, 0.5)
