"""How often each rule that may end a run was wrong, on runs whose ends are known.

``benchmarks.long_runs --write`` judges them and writes ``records.json``: published learning curves,
which have nothing but a score, and recorded healthy runs of ours for rules that read more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rungwise.health.finding import Limit
from rungwise.health.rules import RULES

CONFIDENCE = 0.95
"""One-sided, of each upper limit."""
FEWEST = 2_994
"""Runs of which none is wrong that show a false-alarm rate of at most 0.1 %."""
DATA = Path(__file__).with_name("records.json")


@dataclass(frozen=True)
class Record:
    """Counts of a rule's stops, right and wrong ones, in runs whose ends are known."""

    runs: int = 0
    """Published runs that have all columns that the rule needs."""
    stops: int = 0
    """Those of them that it would have ended."""
    wrong: int = 0
    """Those that rose after that."""
    healthy: int = 0
    """Recorded healthy runs with these columns."""
    healthy_ended: int = 0
    """Those of them that it would have ended."""

    @property
    def is_measured(self) -> bool:
        """Whether the published runs are enough to bound its false alarms."""
        return self.runs >= FEWEST

    @property
    def bound(self) -> float:
        """Upper limit of wrongly ended runs, as a fraction of the runs judged; 1 if not known."""
        return compute_upper_limit(self.wrong, self.runs) if self.is_measured else 1.0

    def describe(self) -> str:
        """Return both figures: per run judged, and per stop."""
        if not self.is_measured:
            share = f"{self.healthy_ended} of {self.healthy} of our own healthy runs"
            return f"not measured on published runs; wrongly ended {share}"
        of_runs, of_stops = (format_share(self.wrong, of) for of in (self.runs, self.stops))
        return f"wrongly ended {of_runs} published runs; {of_stops} stops"


def compute_upper_limit(wrong: int, trials: int) -> float:
    """Return the one-sided upper limit of a probability (Clopper and Pearson 1934).

    Args:
        wrong: how often it happened, 0 to ``trials``.
        trials: independent trials.
    """
    if wrong >= trials:
        return 1.0
    low, high = wrong / trials, 1.0
    for _ in range(60):  # halvings, since what judges logs is installed without SciPy
        p = (low + high) / 2
        logs = (
            math.log(math.comb(trials, k)) + k * math.log(p) + (trials - k) * math.log1p(-p)
            for k in range(wrong + 1)
        )
        rare = math.fsum(map(math.exp, logs)) <= 1 - CONFIDENCE
        low, high = (low, p) if rare else (p, high)
    return high


def format_share(wrong: int, trials: int) -> str:
    """Format a share with its upper limit: 0 (at most 0.034 %) of 8,814."""
    return f"{wrong:,} (at most {100 * compute_upper_limit(wrong, trials):.2g} %) of {trials:,}"


@cache
def read_records() -> Mapping[str, Record]:
    """Return the record of each rule that may end a run, by its symptom."""
    records = {symptom: Record() for symptom, rule in RULES.items() if rule.highest == "stop"}
    return records | {s: Record(**row) for s, row in json.loads(DATA.read_text()).items()}


def describe_record(symptom: str, severity: str = "stop") -> str:
    """Return the record of a rule that ends a run; empty for any other finding."""
    if severity != "stop":
        return ""
    record = read_records().get(symptom)
    return record.describe() if record else ""


def hold_unproven(limits: Mapping[str, Limit], max_wrong: float) -> dict[str, Limit]:
    """Return the limits with which only rules end a run whose bound is at most ``max_wrong``.

    Args:
        limits: the highest severity by symptom, as given.
        max_wrong: fraction of the published runs; 1 lets all rules end runs, unmeasured ones, too.
    """
    held = {s for s, record in read_records().items() if max_wrong < 1 and record.bound > max_wrong}
    warned: dict[str, Limit] = {s: "warn" for s in held if limits.get(s, "stop") == "stop"}
    return {**limits, **warned}
