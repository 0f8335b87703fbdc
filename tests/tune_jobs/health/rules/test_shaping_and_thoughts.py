"""The rules about rewards that are not the goal, and thoughts that are not thought with."""

import numpy as np
import pytest
from health_runs import Curve, flat, history, rising, seen

from tune_jobs.health.rules.entropy_collapse import EntropyCollapse
from tune_jobs.health.rules.gradients_always_clipped import GradientsAlwaysClipped
from tune_jobs.health.rules.no_success import NoSuccess
from tune_jobs.health.rules.reward_hacking import RewardHacking
from tune_jobs.health.rules.theatre import Theatre

HACKING, THEATRE = RewardHacking(), Theatre()


def falling(n: int, high: float = 0.8, low: float = 0.4) -> list[float]:
    """A success rate: kept for a tenth of the rows, then it falls within another tenth."""
    t = np.clip(10 * np.arange(n) / n - 1, 0, 1)
    noise = np.random.default_rng(2).normal(0, 0.04, n)
    return np.clip(high + (low - high) * t + noise, 0, 1).tolist()


def hacked(n: int, budget: int = 60, **changed: Curve):
    curves: dict[str, Curve] = {
        "episodes": 30,
        "return_mean": rising(n, 1.0, 4.0),
        "success_rate": falling(n),
    }
    return seen(HACKING, n, budget, **curves | changed)


def test_success_that_falls_while_the_return_rises_is_hacking_and_late_a_stop():
    assert hacked(20)[0] == "warn"
    assert hacked(60, success_rate=falling(60, 0.8, 0.3))[0] == "stop"
    assert hacked(60, success_rate=falling(60, 0.3, 0.0))[0] == "stop"
    finding = HACKING(history(60, episodes=30, return_mean=rising(60, 1, 4),
                              success_rate=falling(60)))  # fmt: skip
    assert finding and "success rate fell from 76% to 41%" in finding.evidence


def test_success_that_was_learnt_first_and_then_lost_to_shaping_is_hacking():
    rate = [*np.linspace(0.1, 0.8, 20), *np.linspace(0.8, 0.1, 20), *[0.1] * 20]
    assert hacked(60, success_rate=rate)[0] == "stop"


def test_success_that_does_not_rise_with_the_return_is_told_late_and_only_warned_of():
    rate = flat(60, 0.3, 0.05)
    assert hacked(30, success_rate=rate[:30]) is None
    assert hacked(60, success_rate=rate)[0] == "warn"


@pytest.mark.parametrize(
    ("rate", "why"),
    [
        (rising(60, 0.1, 0.9), "success rises with the return"),
        ([*flat(25, 0.1, 0.03), *rising(35, 0.1, 0.8)], "success rises later"),
        (flat(60, 0.97, 0.02), "success has no room left"),
        ([0.3, *np.zeros(4), *rising(55, 0.0, 0.7)], "a lucky start"),
        ([0.0] * 60, "nothing ever succeeded: no_success says it"),
    ],
)
def test_healthy_courses_of_success_are_not_hacking(rate: Curve, why: str):
    for n in range(8, 61):
        rates = list(map(float, rate[:n]))
        found = hacked(n, success_rate=rates, return_mean=rising(60, 1, 4)[:n])
        assert found is None, why


def test_success_that_is_rare_by_nature_is_never_said_to_have_fallen():
    rate = (np.random.default_rng(3).binomial(30, 0.02, 60) / 30).tolist()
    found = [hacked(n, success_rate=rate[:n], return_mean=rising(60, 1, 4)[:n]) for n in range(61)]
    assert found[:36] == [None] * 36
    assert {severity for severity, _ in filter(None, found[36:])} <= {"warn"}


def test_a_fall_of_both_is_a_collapse_and_not_hacking():
    assert hacked(60, return_mean=rising(60, 4.0, 1.0)) is None


def test_hacking_and_no_success_never_speak_of_the_same_run():
    for rate in ([0.0] * 60, falling(60, 0.8, 0.0), falling(60)):
        metrics: dict[str, Curve] = {
            "score": rising(60, 1, 4), "return_mean": rising(60, 1, 4), "success_rate": rate,
            "reward_std": 1.0, "episodes": 30,
        }  # fmt: skip
        run = history(60, **metrics)
        assert (HACKING(run) is None) != (NoSuccess()(run) is None)


LEARNT: dict[str, Curve] = {
    "log_p_with": -0.05,
    "log_p_without": -1.6,
    "log_p_shuffled": -4.0,
    "log_p_random": -3.3,
}


def thought(n: int, budget: int = 60, **changed: Curve):
    curves: dict[str, Curve] = {"score": flat(n), **LEARNT, **changed}
    return seen(THEATRE, n, budget, **curves)


def test_thoughts_that_bring_the_answer_are_no_theatre():
    assert thought(60) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"log_p_with": -1.6},
        {"log_p_with": -1.55, "log_p_random": -1.6},
        {"log_p_shuffled": -0.5},
        {"log_p_random": -1.4},
    ],
)
def test_thoughts_that_can_be_taken_away_or_exchanged_are_theatre(changed: dict[str, Curve]):
    assert thought(60, **changed) == ("stop", 1)
    assert thought(60, score=rising(60), **changed)[0] == "warn"
    assert thought(30, **changed)[0] == "warn"
    assert thought(10, **changed) is None


def test_a_gain_that_is_on_its_way_is_awaited():
    early: dict[str, Curve] = {"log_p_with": lambda i: -1.65 + 0.002 * i, "score": rising(30)}
    assert thought(30, **early) is None


def test_an_answer_known_without_a_thought_leaves_nothing_to_judge():
    assert thought(60, log_p_with=-0.01, log_p_without=-0.02) is None


def test_theatre_since_is_when_the_gain_was_lost():
    lost = thought(60, log_p_with=lambda i: -0.05 if i < 40 else -1.6)
    assert lost[1] == 40


STUMBLED = [
    *(-0.963, -0.717, -0.358, -0.409, -0.472, -0.346, -0.197, -0.24, -0.339, -0.234),
    *(-0.171, -0.789, -0.446, -0.421, -0.195, -0.12, -0.151, -0.084, -0.11, -0.076),
]
"""log p with thoughts in the first 20 iterations of a run, measured: a stumble at the twelfth."""
CERTAIN = [
    *(0.24, 0.149, 0.106, 0.091, 0.078, 0.057, 0.054, 0.046, 0.044, 0.036),
    *(0.042, 0.046, 0.043, 0.038, 0.028, 0.024, 0.023, 0.024, 0.025, 0.024),
]
"""Entropy over its maximum in the same iterations."""


@pytest.mark.parametrize("rows", range(8, 21))
def test_a_run_that_stumbles_on_its_way_up_is_not_said_not_to_improve(rows):
    curves = {
        "score": STUMBLED[:rows],
        "entropy_normalised": CERTAIN[:rows],
        "entropy": CERTAIN[:rows],
        "grad_clip_fraction": 1.0,
        "grad_norm": 4.3,
        "grad_clip": 1.0,
        "episodes": 256,
    }
    assert seen(EntropyCollapse(), rows, 100, **curves) is None
    assert seen(GradientsAlwaysClipped(), rows, 100, **curves) is None
    level = curves | {"score": flat(rows, -0.9, 0.02)}
    if rows >= 16:  # the same certainty without a gain
        assert seen(EntropyCollapse(), rows, 100, **level)[0] == "stop"
        assert seen(GradientsAlwaysClipped(), rows, 100, **level)[0] == "note"
