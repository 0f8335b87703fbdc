"""What is said about a symptom comes from its rule, and names settings that exist."""

import contextlib
import dataclasses
import json
import re
from typing import Any

import pytest
import yaml

from algos import ALGORITHMS, get_algorithm_class
from rungwise.health import RULES, SCORE
from rungwise.health.record import describe_record
from rungwise.health.remedy import worded
from rungwise.metrics import METRICS
from rungwise.validation import InputError
from tune_jobs.check.explain import (
    CHECKED,
    explain,
    format_symptoms_table,
    get_stop_limits,
    title,
)
from tune_jobs.check.findings import SWEEP_FINDINGS
from tune_jobs.jobs.job import Job

FIELDS = {field.name for field in dataclasses.fields(Job)} | {
    field.name
    for name in ALGORITHMS
    for field in dataclasses.fields(get_algorithm_class(name).settings_class)
}


@pytest.mark.parametrize("symptom", [*RULES, *CHECKED, *SWEEP_FINDINGS])
def test_every_symptom_is_explained_in_full(symptom: str):
    answer, hung = explain(symptom), explain("hung")
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert answer.keys() == hung.keys() and answer["measured"].keys() == hung["measured"].keys()
    assert answer["title"] and not answer["title"].endswith(".")
    assert len(answer["meaning"]) > 60
    assert answer["causes"] and not any(cause.endswith(".") for cause in answer["causes"])
    assert answer["remedy"].endswith(".")
    if symptom not in RULES:
        assert answer["stops"]["when"].startswith("never")
        return
    rule: Any = RULES[symptom]
    assert answer["title"][0].isupper()
    assert answer["warm_up"].startswith("Warm-up: ") and "NaN policy: " in answer["warm_up"]
    assert set(answer["measured"]["needs"]) == set(rule.needs)
    thresholds = answer["measured"]["thresholds"]
    assert set(thresholds) == {field.name for field in dataclasses.fields(rule)}
    assert all(one["meaning"].endswith(".") for one in thresholds.values())


@pytest.mark.parametrize("symptom", RULES)
def test_every_metric_a_rule_needs_is_in_the_catalogue(symptom: str):
    assert set(RULES[symptom].needs) - {SCORE} <= set(METRICS)


@pytest.mark.parametrize("symptom", RULES)
def test_remedies_name_settings_and_values_that_exist(symptom: str):
    quoted = re.findall(r"`([^`]+)`", worded(RULES[symptom].remedy))
    assigned = dict(word.split("=", 1) for word in quoted if "=" in word)
    assert set(assigned) <= FIELDS
    for name in quoted:
        known = name.startswith("rungwise ") or name in RULES or name in FIELDS | {"detach"}
        assert known or name.partition("=")[0] in assigned, name
    for name in assigned:
        assert any(_accepts(algorithm, name, assigned) for algorithm in ALGORITHMS), name


def _accepts(algorithm: str, name: str, assigned: dict[str, str]) -> bool:
    """Whether an algorithm has this setting and takes its value, alone or with the others."""
    kind: Any = get_algorithm_class(algorithm).settings_class
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    if name not in defaults:
        return False
    values = {n: _value(text, defaults[n]) for n, text in assigned.items() if n in defaults}
    for settings in ({name: values[name]}, values):
        with contextlib.suppress(InputError):
            kind(**settings)
            return True
    return False


def _value(text: str, default: object) -> object:
    return float(text) if isinstance(default, float) else yaml.safe_load(text)


def test_an_unknown_symptom_is_refused_with_the_nearest_one():
    for ask in (explain, title, get_stop_limits):
        with pytest.raises(InputError, match=r"no symptom 'entropy_colapse'.*did you mean entropy"):
            ask("entropy_colapse")
    with pytest.raises(InputError, match="did you mean credit_leaks"):
        explain("credit_leak")


@pytest.mark.parametrize(
    ("symptom", "highest", "when"),
    [
        ("not_finite", "stop", "at any time"),
        ("frozen_policy", "stop", "at any time, if it holds for 2 iterations in a row"),
        (
            "no_episode_ends",
            "stop",
            "from 10 % of the budget on, if it holds for 2 iterations in a row",
        ),
        ("dead_units", "stop", "from 40 % of the budget on, if it holds for 2 iterations in a row"),
        (
            "no_improvement",
            "stop",
            "from 80 % of the budget on, if it holds for 2 iterations in a row",
        ),
        ("low_explained_variance", "warn", "never"),
        ("fell_from_best", "note", "never"),
    ],
)
def test_the_conditions_of_a_stop_are_given(symptom: str, highest: str, when: str):
    limits = get_stop_limits(symptom)
    assert (limits["highest"], limits["when"]) == (highest, when)
    assert limits.get("record", "") == describe_record(symptom)
    assert bool(limits.get("record")) == (highest == "stop")


def test_only_what_cannot_heal_may_end_a_run_early():
    early = {symptom for symptom in RULES if "at any time" in get_stop_limits(symptom)["when"]}
    assert early == {"not_finite", "hung", "frozen_policy"}


def test_the_table_has_a_row_for_each_symptom():
    lines = format_symptoms_table().splitlines()
    assert len(lines) == len(RULES) + 2
    assert all(line.count("|") == 6 for line in lines)
    assert lines[2].startswith("| `not_finite` | NaN or Inf in")
