"""The verdict on a run: the worst severity of its findings, where it has enough rows."""

from __future__ import annotations

import math
from typing import Literal

from tune_jobs.foreign_logs.log import SHORTEST
from tune_jobs.health.diagnosis import Diagnosis
from tune_jobs.health.history import History
from tune_jobs.health.improvement import Improvement

Verdict = Literal["too_short", "healthy", "note", "warn", "stop"]


def count_needed_rows(history: History) -> int:
    """Iterations before a run without findings can be called well.

    Until then most rules are in their warm-up, which counted in rows asks for half of the budget at
    most, or know too few scores to say whether these have improved.
    """
    return max(Improvement().rows, math.ceil(min(SHORTEST, history.budget) / 2))


def decide_verdict(diagnosis: Diagnosis, history: History, rows: int) -> Verdict:
    """Return the worst severity that the rules find; without, whether there are enough rows."""
    if diagnosis.findings:
        return diagnosis.findings[0].severity
    return "healthy" if rows >= count_needed_rows(history) else "too_short"
