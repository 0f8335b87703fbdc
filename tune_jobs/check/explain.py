"""Explain a symptom: its meaning, how it is measured and what to try.

Everything is read from the rules, from the catalogue of metrics and, for findings of ``rungwise
check`` alone and for those of a sweep, from the catalogues of findings.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

from rungwise.formatting import format_percent
from rungwise.health.diagnosis import RULES, StopConditions
from rungwise.health.history import SCORE
from rungwise.health.record import describe_record
from rungwise.health.remedy import worded
from rungwise.health.rule import Rule
from rungwise.metrics import METRICS
from rungwise.validation import InputError, unknown_name_error
from tune_jobs.check.findings import SWEEP_FINDINGS, SYMPTOMS, CheckSymptom
from tune_jobs.jobs.field_docs import read_field_docs

Answer = dict[str, Any]

_SCORE = {"meaning": "what the run is judged by", "unit": "", "healthy": "improves"}

CHECKED: dict[str, CheckSymptom] = {name: s for name, s in SYMPTOMS.items() if name not in RULES}
"""Symptoms that only ``rungwise check`` finds."""


def explain(symptom: str) -> Answer:
    """Return the explanation of a symptom: the answer of ``rungwise explain SYMPTOM --json``.

    Raises:
        InputError: there is no symptom of this name; names the nearest ones.
    """
    symptom = symptom.strip().lower().replace("-", "_")
    entry = _find_entry(symptom)
    checked = isinstance(entry, CheckSymptom)
    return {
        "symptom": symptom,
        "title": title(symptom),
        "meaning": entry.meaning if checked else _read_meaning(entry),
        "warm_up": "" if checked else entry.describe_warm_up(),
        "measured": {
            "probe": SYMPTOMS[symptom].probe if symptom in SYMPTOMS else "",
            "needs": {} if checked else {need: _metric(need) for need in entry.needs},
            "thresholds": {} if checked else _thresholds(entry),
        },
        "stops": get_stop_limits(symptom),
        "causes": list(entry.causes),
        "remedy": entry.word_remedy() if checked else worded(entry.remedy),
    }


def title(symptom: str) -> str:
    """Return the symptom in one clause."""
    return _find_entry(symptom).title


def get_stop_limits(symptom: str) -> dict[str, str]:
    """Return the highest severity of a symptom, and from when it ends a run by default."""
    rule = _find_entry(symptom)
    if isinstance(rule, CheckSymptom):
        looked = "before a run" if rule.probe else "over the trials of a sweep"
        return {"highest": rule.highest, "when": f"never: it is looked for {looked}"}
    if rule.highest != "stop":
        return {"highest": rule.highest, "when": "never"}
    when = _from(rule)
    if not rule.ignores_patience:
        when += f", if it holds for {StopConditions().patience} iterations in a row"
    return {"highest": rule.highest, "when": when, "record": describe_record(symptom)}


def _from(rule: Rule) -> str:
    """Return from which fraction of the budget a stop may be both asked for and granted."""
    asked = float(getattr(rule, "stop_from", 0.0))
    share = max(asked, StopConditions().stop_from) if rule.can_recover else asked
    return f"from {format_percent(share)} of the budget on" if share else "at any time"


def format_symptoms_table() -> str:
    """Return a Markdown table with a row per health rule."""
    lines = [
        "| symptom | what it means | judged from | may end a run | on runs whose ends are known |",
        "| --- | --- | --- | --- | --- |",
    ]
    for symptom, rule in RULES.items():
        needs = ", ".join("the score" if need == SCORE else f"`{need}`" for need in rule.needs)
        needs = needs or "whatever was logged"
        may = _from(rule) if rule.highest == "stop" else f"no ({rule.highest})"
        record = describe_record(symptom)
        lines.append(f"| `{symptom}` | {title(symptom)} | {needs} | {may} | {record} |")
    return "\n".join(lines)


def check_table() -> str:
    """Return a Markdown table of the symptoms that only ``rungwise check`` finds."""
    lines = ["| finding | what it means | probe | at most |", "| --- | --- | --- | --- |"]
    lines += [f"| `{name}` | {s.title} | {s.probe} | {s.highest} |" for name, s in CHECKED.items()]
    return "\n".join(lines)


def _find_entry(symptom: str) -> Rule | CheckSymptom:
    """Return the rule or the catalogue entry of a symptom."""
    entries: dict[str, Rule | CheckSymptom] = {**CHECKED, **SWEEP_FINDINGS, **RULES}
    if symptom in entries:
        return entries[symptom]
    if about := [name for name in entries if _is_about(symptom, name)]:
        raise InputError(
            f"There is no symptom {symptom!r}, but its title has this word: did you mean "
            f"{' or '.join(about)}?"
        )
    raise unknown_name_error("symptom", symptom, entries)


def _is_about(words: str, symptom: str) -> bool:
    """Return whether all these words are in the title of a symptom, as whole words."""
    given = set(re.findall(r"\w+", words.lower()))
    return bool(given) and given <= set(re.findall(r"\w+", title(symptom).lower()))


def _read_meaning(rule: Rule) -> str:
    """Return the docstring of a rule."""
    doc = inspect.cleandoc(rule.__doc__ or "").replace("``", "`")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in doc.split("\n\n"))


def _metric(name: str) -> dict[str, str]:
    if name == SCORE:
        return _SCORE
    metric = METRICS[name]
    return {"meaning": metric.meaning, "unit": metric.unit, "healthy": metric.healthy}


def _thresholds(rule: Rule) -> Answer:
    """Return each threshold of a rule with its value and the docstring under it."""
    docs = read_field_docs(type(rule))
    return {
        field.name: {"value": getattr(rule, field.name), "meaning": docs.get(field.name, "")}
        for field in dataclasses.fields(rule)
    }
