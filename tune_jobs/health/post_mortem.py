"""``rungwise doctor``: the rules on finished runs, ours or somebody else's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algos.metrics import METRICS
from tune_jobs.health.doctor import RULES, Diagnosis, diagnose
from tune_jobs.health.logs import Log, read

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
        "siblings": siblings(entries),
        "logs": entries,
    }


def siblings(entries: Sequence[Answer]) -> dict[str, str]:
    """For each symptom of a sweep, whether it points at the environment or at one setting."""
    trials = [entry for entry in entries if entry["rows"]]
    if len(trials) < 3:
        return {}
    sick: dict[str, list[str]] = {}
    for entry in trials:
        for finding in entry["findings"]:
            sick.setdefault(finding["symptom"], []).append(entry["name"])
    return {symptom: _spread(names, len(trials)) for symptom, names in sick.items()}


def _spread(names: list[str], of: int) -> str:
    if len(names) == of:
        return f"all {of} logs: suspect the environment, its reward, or a setting that they share"
    if len(names) == 1:
        return f"only {names[0]} of {of} logs: suspect its setting"
    return f"{len(names)} of {of} logs"


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
