"""What is granted: policy, budget, patience, and what cannot be judged."""

import math
from typing import Literal

import numpy as np
import pytest
from health_runs import HEALTHY, Curve, history, make_rows, rising
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.health import RULES, SCORE, Diagnosis, History, Row, StopConditions, diagnose
from rungwise.validation import InputError

SICK: dict[str, Curve] = {
    **HEALTHY,
    "zero_reward_fraction": 0.99,
    "rewarded_episode_fraction": 0.0,
    "choice_fraction_max": 0.99,
    "choice_fractions": lambda i: [0.99, 0.01],
    "entropy": 0.01,
    "entropy_normalised": 0.01,
    "explained_variance": 0.0,
    "grad_clip_fraction": 1.0,
    "grad_norm": 5000.0,
}
"""Everything that can be sick without ending a run early."""


def severities(diagnosis: Diagnosis) -> dict[str, str]:
    return {finding.symptom: finding.severity for finding in diagnosis.findings}


def dead(n: int) -> list[float]:
    return [1.0] * n


def test_a_metric_called_score_is_not_the_score_of_a_run_that_has_another():
    rows = make_rows(40, **HEALTHY, score=rising(40))
    by_rule = {name for name, rule in RULES.items() if SCORE in rule.needs}
    judged = diagnose(History(rows, 40, score="success")).not_judged
    assert by_rule and {judged.get(name) for name in by_rule} == {"success"}


def test_a_healthy_run_is_judged_by_all_rules_without_a_finding():
    diagnosis = diagnose(history(100, **HEALTHY, score=rising(100)))
    assert diagnosis.findings == ()
    assert diagnosis.judged == tuple(RULES)
    assert diagnosis.not_judged == {}
    assert diagnosis.stop is None


def test_a_sick_run_is_found_by_name_with_the_severest_first():
    diagnosis = diagnose(history(27, **SICK, score=dead(27)))
    assert severities(diagnosis) == {
        "zero_reward": "stop",
        "entropy_collapse": "stop",
        "choice_concentration": "stop",
        "no_exploration": "warn",
        "low_explained_variance": "warn",
        "gradients_always_clipped": "warn",
        "no_improvement": "warn",
    }
    assert diagnosis.stop is diagnosis.findings[0]


def test_a_rising_score_vetoes_every_stop_that_it_disproves():
    # Below its start all along, and rising again since the middle of the run.
    dip = [1.0] * 10 + np.linspace(-1.0, 0.4, 20).tolist()
    found = severities(diagnose(history(30, 40, **SICK, score=dip)))
    assert found["entropy_collapse"] == "warn"
    assert found["choice_concentration"] == "warn"
    assert "stop" not in found.values()
    assert diagnose(history(30, 40, **SICK | {"nonfinite": 1}, score=dip)).stop


@pytest.mark.parametrize(
    ("symptom", "metric"),
    [
        ("zero_reward", "zero_reward_fraction"),
        ("choice_concentration", "choice_fraction_max"),
        ("entropy_collapse", "entropy"),
        ("low_explained_variance", "explained_variance"),
        ("gradients_always_clipped", "grad_clip_fraction"),
        ("kl_runaway", "kl"),
        ("frozen_policy", "entropy"),
    ],
)
@pytest.mark.parametrize("how", ["absent", "never a number"])
def test_a_rule_without_its_metric_says_which_one_is_missing(symptom: str, metric: str, how: str):
    metrics = {**SICK, "score": dead(27)}
    del metrics[metric]
    if how != "absent":
        metrics[metric] = lambda i: "none"
    diagnosis = diagnose(history(27, **metrics))
    assert diagnosis.not_judged[symptom] == metric
    assert symptom not in diagnosis.judged
    assert symptom not in severities(diagnosis)


def test_a_missing_score_is_named_as_the_job_names_it():
    seen = History(make_rows(27, **SICK), 27, "excess_risk", "min")
    diagnosis = diagnose(seen)
    assert set(diagnosis.judged) == {s for s, rule in RULES.items() if SCORE not in rule.needs}
    assert {"not_finite", "hung", "frozen_policy", "kl_runaway"} <= set(diagnosis.judged)
    assert set(diagnosis.not_judged.values()) == {"excess_risk"}


def test_a_symptom_that_can_heal_only_warns_before_two_fifths():
    metrics = {**SICK, "score": dead(100)}
    assert set(severities(diagnose(history(39, 100, **metrics))).values()) == {"warn"}
    assert "stop" in severities(diagnose(history(41, 100, **metrics))).values()


@pytest.mark.parametrize(
    ("symptom", "metrics"),
    [
        ("not_finite", {"nonfinite": 1.0}),
        ("frozen_policy", {"kl": 1e-9, "clip_fraction": 0.0, "entropy": 1.38}),
    ],
)
def test_what_cannot_heal_ends_a_run_early(symptom: str, metrics: dict[str, Curve]):
    diagnosis = diagnose(history(9, 27, **{**HEALTHY, "score": dead(9), **metrics}))
    assert severities(diagnosis) == {symptom: "stop"}


def test_a_stop_must_hold_for_consecutive_checks_unless_nan():
    def kl_at(n: int, patience: int) -> str:
        seen = history(n, 20, score=[1.0] * n, kl=lambda i: 14.0 if i >= 4 else 0.01)
        return severities(diagnose(seen, stop_conditions=StopConditions(patience=patience)))[
            "kl_runaway"
        ]

    assert [kl_at(n, 1) for n in (8, 9, 10)] == ["stop", "stop", "stop"]
    assert [kl_at(n, 2) for n in (8, 9, 10)] == ["warn", "stop", "stop"]
    assert [kl_at(n, 3) for n in (8, 9, 10)] == ["warn", "warn", "stop"]
    nan = history(1, 27, score=1, nonfinite=1)
    assert severities(diagnose(nan)) == {"not_finite": "stop"}


def test_patience_longer_than_the_run_only_warns():
    seen = history(3, 27, score=dead(3), kl=14.0)
    assert severities(diagnose(seen, stop_conditions=StopConditions(patience=9))) == {
        "kl_runaway": "warn"
    }


def test_live_resumed_and_post_mortem_diagnoses_are_equal():
    rows = make_rows(20, **SICK, score=dead(20))
    live = [diagnose(History(rows[:n], 27)) for n in range(1, 21)]
    assert diagnose(History(rows, 27)) == live[-1]
    assert diagnose(History(list(rows), 27)) == live[-1]


def test_a_policy_lowers_raises_and_switches_off():
    seen = history(27, **SICK, score=dead(27))
    diagnosis = diagnose(
        seen,
        {
            "zero_reward": "off",
            "entropy_collapse": "note",
            "no_improvement": "warn",
            "low_explained_variance": "stop",
        },
    )
    found = severities(diagnosis)
    assert "zero_reward" not in found
    assert "zero_reward" not in diagnosis.judged
    assert "zero_reward" not in diagnosis.not_judged
    assert found["entropy_collapse"] == "note"
    assert found["no_improvement"] == "warn"
    assert found["low_explained_variance"] == "stop"


def test_a_policy_does_not_raise_a_mild_finding():
    seen = history(27, **{**SICK, "grad_norm": 20.0, "score": dead(27)})
    found = severities(diagnose(seen, {"gradients_always_clipped": "stop"}))
    assert found["gradients_always_clipped"] == "note"


def test_a_policy_of_an_unknown_symptom_is_refused():
    with pytest.raises(InputError, match=r"no symptom 'entropy_colapse' .*: did you mean entropy"):
        diagnose(history(1, score=1), {"entropy_colapse": "off"})
    with pytest.raises(InputError, match=r"policy of zero_reward must be one of .* 'kill'"):
        diagnose(history(1, score=1), {"zero_reward": "kill"})  # type: ignore[dict-item]


def test_a_discipline_out_of_range_is_refused_with_a_sentence():
    with pytest.raises(InputError, match=r"^stop_from must be in \[0, 1\].* 40"):
        StopConditions(stop_from=40)
    with pytest.raises(InputError, match=r"^patience must be at least 1.* 0"):
        StopConditions(patience=0)


METRICS = [*HEALTHY, "score", "return_mean", "iteration", "nonfinite_where"]
NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1.0, -1.0, 0.5, math.nan, math.inf, 1e308, -1e308]),
    st.integers(-(10**400), 10**400),
)
VALUES = st.one_of(NUMBERS, st.none(), st.text(max_size=3), st.lists(NUMBERS, max_size=3))
ROW = st.dictionaries(st.sampled_from(METRICS), VALUES, max_size=8)


@settings(max_examples=150, derandomize=True)
@given(
    pattern=st.lists(ROW, max_size=6),
    repeats=st.integers(1, 12),
    budget=st.integers(1, 60),
    mode=st.sampled_from(["min", "max"]),
)
def test_no_rule_raises_on_arbitrary_rows(
    pattern: list[Row], repeats: int, budget: int, mode: Literal["min", "max"]
):
    seen = History(pattern * repeats, budget, mode=mode)
    for rule in RULES.values():
        rule(seen)
    diagnose(seen)


@settings(max_examples=60, derandomize=True)
@given(
    name=st.sampled_from(sorted(HEALTHY)),
    curve=st.lists(NUMBERS, min_size=40, max_size=40),
    improving=st.booleans(),
)
def test_no_rule_raises_on_one_wild_metric_in_a_full_run(
    name: str, curve: list[float], improving: bool
):
    metrics: dict[str, Curve] = {**(HEALTHY if improving else SICK), name: curve}
    diagnose(history(40, score=rising(40) if improving else dead(40), **metrics))
