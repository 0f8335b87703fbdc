# pyright: basic
"""How often a rule was wrong: upper limits, words, and the rules that they hold to a warning."""

import math

import pytest
from health_runs import history

from rungwise.health import RULES, diagnose
from rungwise.health import record as records
from rungwise.health.record import (
    FEWEST,
    Record,
    compute_upper_limit,
    describe_record,
    hold_unproven,
    read_records,
)

STOPPING = {symptom for symptom, rule in RULES.items() if rule.highest == "stop"}


@pytest.mark.parametrize("trials", [1, 96, 2_994, 8_814])
def test_the_limit_of_no_failure_is_known_in_closed_form(trials):
    assert compute_upper_limit(0, trials) == pytest.approx(1 - 0.05 ** (1 / trials))


@pytest.mark.parametrize(("wrong", "trials"), [(1, 2), (1, 10), (2, 20), (5, 50), (2, 8_814)])
def test_at_the_limit_so_few_failures_are_rare(wrong, trials):
    p = compute_upper_limit(wrong, trials)
    at_most = sum(math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(wrong + 1))
    assert at_most == pytest.approx(0.05)


def test_nothing_is_known_where_all_fail():
    assert compute_upper_limit(3, 3) == compute_upper_limit(0, 0) == 1.0


def test_both_figures_are_told_apart():
    told = Record(runs=8_814, stops=96, wrong=0).describe()
    assert told == (
        "wrongly ended 0 (at most 0.034 %) of 8,814 published runs; 0 (at most 3.1 %) of 96 stops"
    )


def test_few_published_runs_measure_nothing():
    few = Record(runs=FEWEST - 1, healthy=41)
    assert not few.is_measured and few.bound == 1.0
    assert few.describe() == (
        "not measured on published runs; wrongly ended 0 of 41 of our own healthy runs"
    )


def test_every_rule_that_may_end_a_run_has_a_record():
    assert set(read_records()) == STOPPING
    measured = {symptom for symptom, record in read_records().items() if record.is_measured}
    assert measured == {"no_improvement", "constant_reward"}
    assert all(record.healthy_ended == 0 for record in read_records().values())
    assert describe_record("performance_collapse") == ""


def test_published_runs_bound_their_rules_below_a_thousandth():
    for symptom in ("no_improvement", "constant_reward"):
        record = read_records()[symptom]
        assert record.runs == 8_814 and record.wrong <= 2 and record.bound <= 0.001


def test_unproven_rules_are_held_to_a_warning(monkeypatch):
    known = {"a": Record(8_814, 96, 0), "b": Record(8_814, 96, 9), "c": Record(healthy=50)}
    monkeypatch.setattr(records, "read_records", lambda: known)
    assert hold_unproven({"b": "off", "c": "note"}, 0.001) == {"b": "off", "c": "note"}
    assert hold_unproven({}, 0.001) == {"b": "warn", "c": "warn"}
    assert hold_unproven({}, 0.0001) == {"a": "warn", "b": "warn", "c": "warn"}
    assert hold_unproven({"a": "warn"}, 1.0) == {"a": "warn"}


def test_a_held_rule_warns_of_what_it_would_have_ended():
    stuck = history(95, 100, score=[1.0] * 95, return_mean=[1.0] * 95)
    assert describe_record("constant_reward", "warn") == ""
    for limits, severity in (({}, "stop"), (hold_unproven({}, 1e-9), "warn")):
        found = {finding.symptom: finding.severity for finding in diagnose(stuck, limits).findings}
        assert found["constant_reward"] == severity
