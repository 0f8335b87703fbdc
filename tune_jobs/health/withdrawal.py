"""Withdrawal of findings that the run has disproved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tune_jobs.health.history import History
from tune_jobs.health.rule import Rule
from tune_jobs.health.rules import RULES

PATIENCE = 5
"""Consecutive checks, one per score, at which a rule must be silent before its finding is
withdrawn."""


def disproved(
    symptoms: Iterable[str], history: History, rules: Mapping[str, Rule] = RULES
) -> list[str]:
    """Return the reported symptoms that no longer hold, as the score or the rule itself shows.

    It is computed from the history alone, like the diagnosis, so that a resumed run gets the same
    answer.
    """
    # More than one check, because a value near its threshold would otherwise be reported and
    # withdrawn in turn.
    checks = [history.before_scores(ago) for ago in range(PATIENCE)]
    return [
        symptom
        for symptom in symptoms
        if symptom in rules
        and rules[symptom].is_disproved(history)
        and not any(rules[symptom](check) for check in checks)
    ]
