"""Findings that the run has disproved since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tune_jobs.health.history import History
from tune_jobs.health.rule import Rule
from tune_jobs.health.rules import RULES

PATIENCE = 5
"""Checks in a row at which a rule must find nothing any more."""


def disproved(
    symptoms: Iterable[str], history: History, rules: Mapping[str, Rule] = RULES
) -> list[str]:
    """Return those of the symptoms found earlier that no longer hold, now that the score improved.

    Like the diagnosis itself it is read off the history alone, so that a resumed run gets the same
    answer. A symptom that is as bad in a run whose score rises (a lost worker) stays.
    """
    if not history.improved:
        return []
    checks = [history.without_last(ago) for ago in range(PATIENCE)]
    return [
        symptom
        for symptom in symptoms
        if symptom in rules
        and not rules[symptom].stops_rising
        and not any(rules[symptom](check) for check in checks)
    ]
