"""``rungwise doctor``: the rules on finished runs, ours or somebody else's."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algos.metrics import METRICS
from tune_jobs.health.doctor import RULES, Diagnosis, diagnose
from tune_jobs.health.history import History
from tune_jobs.health.logs import Log, read
from tune_jobs.health.siblings import Sibling, conclusions

Answer = dict[str, Any]


def doctor(path: Path, rename: Mapping[str, str] | None = None) -> Answer:
    """Judge every log at a path; the answer of ``rungwise doctor --json``.

    ``logs`` has an entry for each log. Beside it stand the findings of all of them, each with the
    log's name, and what could be judged in any of them; ``not_judged`` says why in none.

    Raises:
        InputError: if there is nothing to read, or a log is empty or broken.
    """
    logs = read(path, rename)
    entries = [_entry(log) for log in logs]
    judged = [s for s in RULES if any(s in entry["judged"] for entry in entries)]
    not_judged: dict[str, str] = {}
    for entry in entries:
        for symptom, why in entry["not_judged"].items():
            if symptom not in judged:
                not_judged.setdefault(symptom, why)
    return {
        "path": str(path),
        "findings": [
            {"log": entry["name"], **finding} for entry in entries for finding in entry["findings"]
        ],
        "judged": judged,
        "not_judged": not_judged,
        "siblings": conclusions(
            [_sibling(log, entry) for log, entry in zip(logs, entries, strict=True) if log.rows]
        ),
        "logs": entries,
    }


def _sibling(log: Log, entry: Answer) -> Sibling:
    history = log.history
    symptoms = [f["symptom"] for f in entry["findings"] if f["severity"] != "note"]
    found = {symptom: _found_at(symptom, history) for symptom in symptoms}
    return Sibling(log.name, history.iteration(-1), found)


def _found_at(symptom: str, history: History) -> int:
    """The iteration from which a finding of the whole log would have been made live."""
    rows = range(1, len(history) + 1)
    length = bisect_left(
        rows, True, key=lambda n: RULES[symptom](history.without_last(len(history) - n)) is not None
    )
    return history.iteration(min(length, len(history) - 1))


def _entry(log: Log) -> Answer:
    diagnosis = diagnose(log.history) if log.rows else _NO_ROWS
    return {
        "name": log.name,
        "format": log.format,
        "rows": len(log.rows),
        "findings": [dataclasses.asdict(finding) for finding in diagnosis.findings],
        "judged": list(diagnosis.judged),
        "not_judged": {s: _why(name) for s, name in diagnosis.not_judged.items()},
        "unmapped": log.unmapped,
    }


_NOTHING = "rows"
_NO_ROWS = Diagnosis((), (), dict.fromkeys(RULES, _NOTHING))


def _why(missing: str) -> str:
    if missing == _NOTHING:
        return "the log has no iteration"
    meaning = f" ({METRICS[missing].meaning})" if missing in METRICS else ""
    return f"the log has no {missing}{meaning}"
