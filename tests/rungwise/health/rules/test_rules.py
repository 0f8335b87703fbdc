"""What holds for every health rule, and for several of them on one run."""

import math

import numpy as np
import pytest
from health_runs import HEALTHY, Metrics, flat, history, rising, seen, severity

from rungwise.health import RULES, SCORE, History, Rule, diagnose
from rungwise.health.rules.entropy import EntropyCollapse
from rungwise.health.rules.episodes import GroupsWithoutSignal
from rungwise.health.rules.gradients import GradientsAlwaysClipped
from rungwise.health.rules.observations import DeadUnits
from rungwise.health.rules.policy_choices import ChoiceConcentration
from rungwise.health.rules.policy_steps import UpdateRatio
from rungwise.health.rules.value_function import LowExplainedVariance, ValueDivergence


@pytest.mark.parametrize("symptom", RULES)
@pytest.mark.parametrize("n", [1, 5, 12, 27, 100, 300])
def test_a_healthy_run_has_no_finding(symptom: str, n: int):
    assert RULES[symptom](history(n, max(n, 27), **HEALTHY, score=rising(n))) is None


@pytest.mark.parametrize("symptom", RULES)
def test_no_rows_no_finding(symptom: str):
    assert RULES[symptom](history(0, 27)) is None


NEEDS = [(symptom, need) for symptom, rule in RULES.items() for need in rule.needs]


@pytest.mark.parametrize(("symptom", "need"), NEEDS)
def test_a_missing_metric_is_named(symptom: str, need: str):
    metrics: Metrics = {**HEALTHY, "score": rising(30)}
    del metrics[need]
    metrics.pop(RULES[symptom].stand_ins.get(need, need), None)
    diagnosis = diagnose(history(30, **metrics))
    assert diagnosis.not_judged[symptom] == need
    assert symptom not in diagnosis.judged


@pytest.mark.parametrize("symptom", sorted(set(RULES) - {"not_finite", "no_improvement"}))
def test_no_rule_judges_numbers_that_are_all_nan(symptom: str):
    nothing: Metrics = dict.fromkeys(set(RULES[symptom].needs) - {SCORE}, math.nan)
    assert RULES[symptom](history(30, score=flat(30), **nothing)) is None


def test_a_sick_run_can_be_judged_by_any_score():
    rows = history(60, cost=flat(60), dead_unit_fraction=1.0).rows
    found = diagnose(History(rows, 60, "cost", "min")).findings
    assert [f.symptom for f in found] == ["dead_units", "no_improvement"]


@pytest.mark.parametrize("kind", [UpdateRatio, DeadUnits, ValueDivergence, GroupsWithoutSignal])
def test_nothing_is_said_before_the_score_can_be_judged(kind: type[Rule]):
    sick: Metrics = {"update_ratio": 0.9, "dead_unit_fraction": 1.0, "group_signal": 0.0}
    sick["value_loss"] = lambda i: 10.0**i
    assert kind()(history(7, 8, score=flat(7), **sick)) is None


def test_a_score_on_its_way_turns_a_warning_into_a_note():
    score = (0.03 * np.arange(15) + flat(15, 1.0, 0.12)).tolist()
    concentrated: Metrics = {"choice_fraction_max": 0.87, "env_steps": 9999.0}
    concentrated["choice_fractions"] = lambda i: [0.87, 0.04, 0.03, 0.03, 0.03]
    unexplained: Metrics = {"explained_variance": 0.0, "value_loss": 1.0}
    assert history(15, 60, score=score).progress.improved is False
    assert severity(ChoiceConcentration(), 15, 60, score=score, **concentrated) == "note"
    assert severity(ChoiceConcentration(), 15, 60, score=flat(15), **concentrated) == "warn"
    assert severity(LowExplainedVariance(), 15, 30, score=score, **unexplained) is None
    assert severity(LowExplainedVariance(), 15, 30, score=flat(15), **unexplained) == "stop"


STUMBLED = [
    *(-0.963, -0.717, -0.358, -0.409, -0.472, -0.346, -0.197, -0.24, -0.339, -0.234),
    *(-0.171, -0.789, -0.446, -0.421, -0.195, -0.12, -0.151, -0.084, -0.11, -0.076),
]
"""log p with thoughts in the first 20 iterations of a run: a stumble at the twelfth."""
CERTAIN = [
    *(0.24, 0.149, 0.106, 0.091, 0.078, 0.057, 0.054, 0.046, 0.044, 0.036),
    *(0.042, 0.046, 0.043, 0.038, 0.028, 0.024, 0.023, 0.024, 0.025, 0.024),
]
"""Entropy over its maximum in the same iterations."""


@pytest.mark.parametrize("rows", range(8, 21))
def test_a_run_that_stumbles_on_its_way_up_is_healthy(rows):
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


@pytest.mark.parametrize(("of_policy", "advised"), [(1.1, False), (0.2, True)])
def test_a_smaller_weight_of_the_value_is_advised_where_it_would_help(
    of_policy: float, advised: bool
):
    norms: Metrics = {"grad_clip_fraction": 1.0, "grad_norm": 1.2, "grad_clip": 0.5}
    run = history(60, score=flat(60), grad_norm_policy=of_policy, **norms)
    remedy = GradientsAlwaysClipped().word_remedy(run)
    assert ("value_coef" in remedy) is advised and "grad_clip" in remedy
