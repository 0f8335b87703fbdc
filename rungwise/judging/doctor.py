"""Apply the health rules to finished runs of Rungwise or other tools."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.formatting import count
from rungwise.health.diagnosis import RULES, Diagnosis, diagnose
from rungwise.health.finding import Finding
from rungwise.health.history import History
from rungwise.health.record import describe_record
from rungwise.judging.run_judge import RESUMED, count_needed_rows
from rungwise.logs.log import Log
from rungwise.logs.read_logs import read_all
from rungwise.metrics import METRICS
from rungwise.run_log.cross_trial import Sibling, compare_trials_on_all_symptoms

Answer = dict[str, Any]
LATE_NOTE = "It begins late in a training, so that a score which does not rise is only a note."


def doctor(*paths: str | Path, rename: Mapping[str, str] | None = None) -> Answer:
    """Judge every log at the paths and return the answer of ``rungwise doctor --json``.

    ``logs`` has an entry per log. ``findings`` lists the findings of all logs with the log's name,
    ``judged`` what could be judged in any log, and ``not_judged`` what in none, with the reason.
    ``path`` is None where there are several ``paths``.

    Raises:
        InputError: if there is nothing to read at one of the paths, or no log can be read.
    """
    # Diverged runs log values at the end of the float range.
    places = tuple(map(Path, paths))
    with np.errstate(all="ignore"):
        return _judge(places, read_all(places, rename))


def _judge(paths: tuple[Path, ...], logs: list[Log]) -> Answer:
    entries = [_judge_log(log) for log in logs]
    judged = [s for s in RULES if any(s in entry["judged"] for entry in entries)]
    not_judged: dict[str, str] = {}
    for entry in entries:
        for symptom, why in entry["not_judged"].items():
            if symptom not in judged:
                # The first log's reason stands for all: logs of a sweep lack the same metrics.
                not_judged.setdefault(symptom, why)
    return {
        "path": str(paths[0]) if len(paths) == 1 else None,
        "paths": list(map(str, paths)),
        "findings": [
            {"log": entry["name"], **finding} for entry in entries for finding in entry["findings"]
        ],
        "judged": judged,
        "not_judged": not_judged,
        "records": {
            f["symptom"]: describe_record(f["symptom"])
            for entry in entries
            for f in entry["findings"]
            if f["severity"] == "stop"
        },
        "siblings": compare_trials_on_all_symptoms(
            [_make_sibling(log, e) for log, e in zip(logs, entries, strict=True) if log.rows]
        ),
        "logs": entries,
    }


def _make_sibling(log: Log, entry: Answer) -> Sibling:
    history = log.history
    # Notes occur in healthy runs, so they are no evidence when sibling trials are compared.
    symptoms = [f["symptom"] for f in entry["findings"] if f["severity"] != "note"]
    onsets = {symptom: _find_onset(symptom, history) for symptom in symptoms}
    return Sibling(log.name, history.iteration(-1), onsets)


def _find_onset(symptom: str, history: History) -> int:
    """Return the iteration at which a finding of the whole log would have been reported live."""
    rows = range(1, len(history) + 1)
    # Bisection is exact for a finding that stays; for one that comes and goes it returns one of its
    # onsets. Judging every prefix of a long log would take too long.
    length = bisect_left(
        rows, True, key=lambda n: RULES[symptom](history.without_last(len(history) - n)) is not None
    )
    return history.iteration(min(length, len(history) - 1))


def _judge_log(log: Log) -> Answer:
    limits = RESUMED if log.begins_late else {}
    diagnosis = diagnose(log.history, limits) if log.rows else Diagnosis((), (), {})
    findings = [*_judge_empty_return(log), *diagnosis.findings]
    judged, not_judged = list(diagnosis.judged), diagnosis.not_judged
    reasons = {symptom: _explain_missing(name) for symptom, name in not_judged.items()}
    needed = count_needed_rows(log.history) if log.rows else 1
    # Silence of a short log is no sign of health: what is still in its warm-up counts as not
    # judged, unless the rule has already reported or needs a single check only.
    if len(log.rows) < needed:
        reported = {finding.symptom for finding in findings}
        early = [
            symptom for symptom in judged if symptom in reported or RULES[symptom].ignores_patience
        ]
        few = f"the log has {count(len(log.rows), 'iteration')} of the {needed} that are needed"
        few = few if log.rows else "the log has no iteration"
        waiting = judged if log.rows else RULES
        reasons |= {symptom: few for symptom in waiting if symptom not in early}
        judged = early
    return {
        "name": log.name,
        "format": log.format,
        "rows": len(log.rows),
        "rows_needed": needed,
        "note": log.note or (LATE_NOTE if log.begins_late else ""),
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "judged": judged,
        "not_judged": reasons,
        "unmapped": log.unmapped,
        "likely_return": log.likely_return,
    }


def _judge_empty_return(log: Log) -> list[Finding]:
    """Return the finding of a whole log whose return is never a number.

    A run that is still at work may log NaN until its first episode ends, so no rule says this.
    """
    if not log.empty_return or len(log.rows) < count_needed_rows(log.history):
        return []
    rule = RULES["not_finite"]
    finding = rule.report(
        "stop",
        log.history.iteration(0),
        f"{log.empty_return} is NaN in all {len(log.rows)} rows: rewards are NaN, or no episode "
        "has ended",
    )
    return [dataclasses.replace(finding, remedy=rule.word_remedy(log.history))]


def _explain_missing(missing: str) -> str:
    meaning = f" ({METRICS[missing].meaning})" if missing in METRICS else ""
    return f"the log has no {missing}{meaning}"
