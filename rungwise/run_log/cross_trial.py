"""Compare the trials of a sweep on a symptom: is the cause shared, or a setting of some trials?

A symptom of every trial points at what they share (environment, reward, search range), a symptom of
one at its own setting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from rungwise.formatting import format_number

FEWEST = 3
"""Comparable trials below which nothing is concluded."""
CHANCE = 0.1
"""Probability above which a setting that sets the sick trials apart may do so by chance."""
NAMED = 12
"""Sick trials that are named at most; the others are counted."""


class Sibling(NamedTuple):
    """The data of one trial that a comparison needs."""

    trial: str
    iterations: int
    """Its latest judged iteration."""
    symptom_iterations: Mapping[str, int]
    """Symptom to the iteration of its first finding."""
    config: Mapping[str, Any] = MappingProxyType({})
    """Its searched values."""


def compare_trials_on_all_symptoms(trials: Sequence[Sibling]) -> dict[str, str]:
    """Compare a sweep on each of its symptoms; leave out those without a conclusion."""
    symptoms = dict.fromkeys(symptom for trial in trials for symptom in trial.symptom_iterations)
    sentences = {symptom: compare_trials_on_symptom(symptom, trials) for symptom in symptoms}
    return {symptom: sentence for symptom, sentence in sentences.items() if sentence}


def compare_trials_on_symptom(symptom: str, trials: Sequence[Sibling]) -> str:
    """Describe what a symptom points at; empty while too few trials can be compared."""
    sick, well = split_by_symptom(symptom, trials)
    n = len(sick) + len(well)
    if not sick or n < FEWEST:
        return ""
    if not well:
        return (
            f"all {n} trials that came as far, so it comes from what they share: the environment, "
            "its reward, or a setting (the search range)"
        )
    apart = _find_separating_setting(sick, well)
    if len(sick) == 1:
        # One of four trials has an extreme value of a setting half of the time, for no reason.
        cause = f"its setting ({apart}) or its seed" if apart else "its seed"
        return f"only trial {sick[0].trial} of {n}: perhaps by {cause}"
    names = ", ".join(trial.trial for trial in sick[:NAMED])
    if len(sick) > NAMED:
        names += f" and {len(sick) - NAMED} others"
    # Each setting has two ends, and the sick trials may be at one of them by chance.
    chance = 2 * len(sick[0].config) / math.comb(n, len(sick))
    perhaps = ", perhaps by chance" if chance > CHANCE else ""
    return f"{len(sick)} of {n} trials ({names})" + (f": {apart}{perhaps}" if apart else "")


def split_by_symptom(
    symptom: str, trials: Sequence[Sibling]
) -> tuple[list[Sibling], list[Sibling]]:
    """Split trials into those with a symptom and those that could have shown it and did not.

    A trial that ended before the symptom first appeared in any trial is left out of both.
    """
    sick = [trial for trial in trials if symptom in trial.symptom_iterations]
    shown = min((trial.symptom_iterations[symptom] for trial in sick), default=0)
    return sick, [
        t for t in trials if symptom not in t.symptom_iterations and t.iterations >= shown
    ]


def _find_separating_setting(sick: Sequence[Sibling], well: Sequence[Sibling]) -> str:
    """Return the setting whose sick values lie furthest from all others; empty without one."""
    # A setting that some trials lack (a resume with another search) cannot be compared.
    names = [name for name in sick[0].config if all(name in t.config for t in (*sick, *well))]
    gaps = [
        _measure_gap(name, [t.config[name] for t in sick], [t.config[name] for t in well])
        for name in names
    ]
    return max((gap for gap in gaps if gap[0] > 0), default=(0.0, ""), key=lambda gap: gap[0])[1]


def _measure_gap(name: str, sick: Sequence[Any], well: Sequence[Any]) -> tuple[float, str]:
    """Return the gap between sick and other values, as a fraction of their range, and a sentence.

    A gap of at most 0 means that the values overlap.
    """
    values = [*sick, *well]
    short, lone = name.removeprefix("env."), len(sick) == 1
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        alike = all(v == sick[0] for v in sick) and sick[0] not in well
        whose = "its" if lone else "their"
        # A choice has no range: it counts like a number half of its range away.
        return alike / 2, f"{whose} {short}={format_number(sick[0])} is no other's"
    # Learning rates and their like are drawn on a logarithmic scale, and differ on it.
    scale = math.log if min(values) > 0 else float
    a, b = [scale(float(v)) for v in sick], [scale(float(v)) for v in well]
    above, below = min(a) - max(b), min(b) - max(a)
    side = "highest" if above > below else "lowest"
    if lone:
        sentence = f"its {short}={format_number(sick[0])} is the {side}"
    else:
        edge, bound = (min(sick), "or more") if above > below else (max(sick), "or less")
        sentence = f"those of the {side} {short} ({format_number(edge)} {bound})"
    spread = max(*a, *b) - min(*a, *b)
    return (max(above, below) / spread if spread else 0.0), sentence
