# pyright: basic
"""Every setting that a remedy names exists in every algorithm that can show the symptom."""

import dataclasses
import re
from functools import cache
from typing import Any

import numpy as np
import pytest
import small

from algos import ALGORITHMS, get_algorithm_class
from algos.rollouts.v_star import VStarTable, make_batch
from rungwise.health import RULES, SCORE
from rungwise.health.remedy import RemedyStep, worded
from tune_jobs.check.findings import SYMPTOMS

BANDIT = "toy_worlds:Bandit-v0"
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "reinforce": [{}, {"baseline": "group_mean"}, {"baseline": "moving_average"}],
    "astar_po": [{}, {"loss": "clipped_pg"}],
}
"""Settings with which an algorithm reports all that it can; the defaults for the others."""

PARTS_OF_LOSSES = {"clip", "value_coef"}
"""Settings of the clip range and of the value error: a loss without that part has no such fault."""


def get_fields(algo):
    return {f.name for f in dataclasses.fields(get_algorithm_class(algo).settings_class)}


ALL_SETTINGS = set[str]().union(*map(get_fields, ALGORITHMS))


@cache
def measure(algo):
    """The names of the metrics of an algorithm's rows and updates, without Ray."""
    names = set()
    for changed in VARIANTS.get(algo, [{}]):
        chosen = {"algo": algo, "num_envs": 4, "entropy_coef": 0.1} | changed
        runner, learner = small.runner(BANDIT, **chosen), small.learner(BANDIT, **chosen)
        rows = runner.sample()[0]
        if algo == "astar_po":  # the driver adds V*
            rows = rows.with_columns(v_star=np.zeros(len(rows), np.float32))
        rows, found = runner.objective.preprocess_batch(rows)
        names |= set(found) | set(small.updated(learner, rows))
    if algo == "astar_po":  # and what stage 1 reports
        table, sample = VStarTable(), np.ones((1, 2), np.float32)
        table.add(make_batch(np.zeros(1), sample, sample[:, 0], sample))
        names |= set(table.summarise(1))
    return names


def can_show(algo, rule):
    """Whether the algorithm reports what the rule reads; the rest is reported for all of them."""
    specific = set().union(*map(measure, ALGORITHMS)) - measure(algo)
    return not specific & (set(rule.needs) - {SCORE})


def get_alternatives(step):
    """The step, then what takes its place in algorithms without its setting."""
    return [step, *get_alternatives(step.without)] if isinstance(step, RemedyStep) else [step]


def find_settings(text):
    """The settings named in backticks, with or without a value."""
    return set(re.findall(r"`(\w+)(?:=[^`]*)?`", text)) & ALL_SETTINGS


def test_symptoms_belong_to_the_algorithms_that_measure_them():
    def show(symptom):
        return {algo for algo in ALGORITHMS if can_show(algo, RULES[symptom])}

    assert show("entropy_collapse") == show("choice_concentration") == set(ALGORITHMS)
    assert show("groups_without_signal") == {"reinforce", "grpo"}
    assert show("v_star_optimistic") == show("advantage_clipping") == {"astar_po"}
    assert show("v_star_few_samples") == show("v_star_without_success") == {"astar_po"}
    assert show("advantages_flat") == {"astar_po"}
    assert show("low_explained_variance") == {"ppo", "reinforce"}


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("symptom", RULES)
def test_the_algorithm_has_each_setting_of_the_remedy(symptom, algo):
    rule, names = RULES[symptom], get_fields(algo)
    if not can_show(algo, rule):
        return
    for step in rule.remedy:
        if isinstance(step, RemedyStep) and step.setting not in names | PARTS_OF_LOSSES:
            others = get_alternatives(step)[1:]
            assert (
                any(isinstance(o, RemedyStep) and o.setting in names for o in others) or others[-1]
            ), f"{algo} has no {step.setting}, and the step names nothing in its place"
    # Nothing is taken yet: a value that no setting has leaves every step to be named.
    remedy = worded(rule.remedy, dict.fromkeys(names, "unset"), complete=True)
    assert find_settings(remedy) <= names
    assert len(remedy) > len("Look.")


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_the_algorithm_has_each_setting_of_a_check_finding(symptom, algo):
    names = get_fields(algo)
    remedy = SYMPTOMS[symptom].word_remedy(dict.fromkeys(names, ""))  # nothing is in use
    assert find_settings(remedy) <= names
    assert remedy


def test_an_algorithm_without_the_setting_gets_another_step():
    def remedy(symptom, algo, **changed):
        settings = vars(small.settings(algo, **changed))
        return worded(RULES[symptom].remedy, settings, complete=True)

    assert "`loss=regression`" in remedy("advantage_clipping", "astar_po", loss="clipped_pg")
    assert "`beta=0.1`" in remedy("performance_collapse", "astar_po")
    assert "`beta` further" in remedy("performance_collapse", "dpo")
