"""Apply all rules to one history."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Annotated

import numpy as np

from rungwise.health.finding import SEVERITIES, Finding, Limit, Severity
from rungwise.health.history import SCORE, History
from rungwise.health.rule import Rule
from rungwise.health.rules import RULES
from rungwise.validation import AtLeastOne, Fraction, check_value, unknown_name_error, validate

SHORTEST = 20
"""Iterations of the shortest budget whose runs the rules may end."""


@dataclasses.dataclass(frozen=True)
class StopConditions:
    """Conditions under which a stop is granted; otherwise it becomes a warning."""

    stop_from: Annotated[float, Fraction] = 0.4
    """Fraction of the budget before which only rules without recovery may end a run."""
    patience: Annotated[int, AtLeastOne] = 2
    """Number of consecutive checks for which a stop must hold (one check per score)."""
    shortest: Annotated[int, AtLeastOne] = SHORTEST
    """Budget in iterations below which a run is too short to judge: only a rule that needs a single
    check may end it."""
    fewest_scores: Annotated[int, AtLeastOne] = 30
    """The same for a rule that reads nothing but the score, in scores: held-out ones are few in a
    budget of any length. Without it the rules would end 3.8 % of the best third of 35,840 published
    runs of ten scores, and they ended four of 1,279 with 21 scores wrongly."""

    def __post_init__(self) -> None:
        validate(self)

    def allows_stop(self, rule: Rule, history: History) -> bool:
        """Return whether the stop that this rule asks for on this history is granted.

        Patience is not stored: the history is judged again as it was at earlier checks, so that a
        resumed run and a post-mortem get the same answer as the live run.
        """
        is_short = history.budget < self.shortest or (
            rule.needs == (SCORE,) and history.score_budget < self.fewest_scores
        )
        if is_short and not rule.ignores_patience:
            return False
        # Early on, healthy runs look like sick ones: flat starts lasted for up to 41 % of a run.
        if rule.can_recover and history.budget_fraction_used < self.stop_from:
            return False
        # A rising score contradicts nearly all symptoms, and so does a stage that was mastered: its
        # score falls with the next one. A stop cannot be undone.
        if (history.progress.rising or history.progress.stage_start) and not rule.stops_rising:
            return False
        # A policy that had learnt may learn again; the finding remains a warning.
        if rule.stagnant_only and history.progress.had_learnt:
            return False
        checks = 1 if rule.ignores_patience else self.patience
        # The present check has already asked for the stop, so the earlier ones begin at 1.
        return all(_asks_to_stop(rule, history.before_scores(ago)) for ago in range(1, checks))


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Findings of all rules on one history."""

    findings: tuple[Finding, ...]
    """Findings, the most severe first."""
    judged: tuple[str, ...]
    """Symptoms whose metrics are available (a rule may still be in its warm-up)."""
    not_judged: Mapping[str, str]
    """Symptoms that cannot be judged, each with the first missing metric."""

    @property
    def stop(self) -> Finding | None:
        """The finding that ends the run, if one does."""
        return next((finding for finding in self.findings if finding.severity == "stop"), None)


_DISCIPLINE = StopConditions()


def check_limits(limits: Mapping[str, Limit], rules: Mapping[str, Rule] = RULES) -> None:
    """Check that a health policy names only known symptoms and limits.

    Raises:
        InputError: naming the symptom with the nearest known one, or the limit seen.
    """
    for symptom, limit in limits.items():
        if symptom not in rules:
            raise unknown_name_error("symptom", symptom, rules, "in the health policy")
        check_value(f"The health policy of {symptom}", limit, Limit)


def diagnose(
    history: History,
    limits: Mapping[str, Limit] | None = None,
    *,
    stop_conditions: StopConditions = _DISCIPLINE,
    rules: Mapping[str, Rule] = RULES,
) -> Diagnosis:
    """Judge a history by every rule.

    Args:
        history: the rows of one run up to now, or of a finished one.
        limits: the highest severity of a rule by its symptom id, ``"off"`` to leave it out; the
            ``highest`` of the rule if missing.
        stop_conditions: when a stop is granted.
        rules: the rules, with their thresholds.

    Raises:
        InputError: if the policy names an unknown symptom or limit.
    """
    limits = limits or {}
    check_limits(limits, rules)
    findings: list[Finding] = []
    judged: list[str] = []
    not_judged: dict[str, str] = {}
    with np.errstate(all="ignore"):  # diverged runs log values at the end of the float range
        for symptom, rule in rules.items():
            limit = limits.get(symptom, rule.highest)
            if limit == "off":
                continue
            # "Cannot be judged" is an answer of its own: a missing metric must not read as health.
            missing = _missing(rule, history)
            if missing is not None:
                not_judged[symptom] = missing
                continue
            judged.append(symptom)
            finding = rule(history)
            if finding is not None:
                severity = _limit_severity(finding.severity, limit, rule, history, stop_conditions)
                remedy = rule.word_remedy(history)
                findings.append(dataclasses.replace(finding, severity=severity, remedy=remedy))
    # The sort is stable: among equal severities the order of the rules remains, likely causes
    # before their consequences.
    findings.sort(key=lambda finding: -SEVERITIES.index(finding.severity))
    return Diagnosis(tuple(findings), tuple(judged), not_judged)


def find_disproved(
    findings: Iterable[tuple[str, str]],
    history: History,
    is_over: bool = False,
    rules: Mapping[str, Rule] = RULES,
) -> list[tuple[str, str]]:
    """Return the reported findings that no longer hold, as the score or the rule itself shows.

    It is computed from the history alone, like the diagnosis, so that a resumed run gets the same
    answer. A rule that asks for less now (a note) has taken back its warning. At the end the last
    check decides: no later one could withdraw what was first found in one of the last few.

    Args:
        findings: symptom and severity of each.
        history: the rows of the run up to now.
        is_over: whether the run ends here, before its budget is used.
        rules: the rules, with their thresholds.
    """
    is_over = is_over or history.is_over
    return [
        (symptom, severity)
        for symptom, severity in findings
        if (rule := rules.get(symptom))
        and rule.is_disproved(history)
        and not any(
            _asks_for(rule, history.before_scores(ago), severity)
            for ago in range(1 if is_over else rule.silent_checks)
        )
    ]


def _asks_for(rule: Rule, history: History, severity: str) -> bool:
    """Return whether a rule asks for this severity, or a higher one."""
    finding = rule(history)
    return finding is not None and SEVERITIES.index(finding.severity) >= SEVERITIES.index(severity)


def _missing(rule: Rule, history: History) -> str | None:
    """Return the first metric that the rule needs and the history lacks."""
    for need in rule.needs:
        name = history.score if need == SCORE else need
        if not history.has(name) and not history.has(rule.stand_ins.get(name, name)):
            return name
    return None


def _limit_severity(
    asked: Severity, limit: Severity, rule: Rule, history: History, stop_conditions: StopConditions
) -> Severity:
    severity = SEVERITIES[min(SEVERITIES.index(asked), SEVERITIES.index(limit))]
    # Last, because judging earlier histories is expensive and few findings ask for a stop.
    if severity == "stop" and not stop_conditions.allows_stop(rule, history):
        # A rule that reads nothing but the score has nothing left to warn of while that rises.
        return "note" if rule.needs == (SCORE,) and history.progress.rising else "warn"
    return severity


def _asks_to_stop(rule: Rule, history: History) -> bool:
    # The metric may be in the newest rows only, which an earlier check did not have.
    return _missing(rule, history) is None and _asks_for(rule, history, "stop")
