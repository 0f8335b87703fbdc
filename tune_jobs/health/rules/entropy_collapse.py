"""Rule ``entropy_collapse``: the policy became deterministic before its score improved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.improvement import BoolArray
from tune_jobs.health.remedy import Remedy, at_least, increase, lower
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class EntropyCollapse(Rule):
    """The entropy of the last third of the rows is close to zero, and the score has not improved.

    Low entropy alone would flag 17 of 32 healthy runs: a policy that has learnt may be
    deterministic. So may one that had nearly learnt by its first row: a score that still tends
    upwards clears it, as does an improvement a few rows ago.
    The rule uses the fraction of the maximum where it is logged (edges post-mortem: 8.83 nats fell
    to 0.004). Otherwise the limit for discrete choices is ``nats``. The entropy of a continuous
    policy may be negative, so there the fall counts; it only warns, because the fall is a sum over
    dimensions whose number is unknown here.

    Warm-up: ``rows`` rows. NaN policy: rows without the entropy are left out.
    """

    symptom: ClassVar[str] = "entropy_collapse"
    needs: ClassVar[tuple[str, ...]] = ("entropy", SCORE)
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "the entropy bonus is too small or gets no gradient",
        "the learning rate is too high",
        "rewards are so rare that the policy repeats the first rewarded action",
    )
    remedy: ClassVar[Remedy] = (
        increase("entropy_coef", 0.03, "raise the entropy bonus: {}"),
        at_least("entropy_target", 0.3, "control the entropy with {}"),
        lower("lr", 1e-4),
    )

    normalised: Annotated[float, Fraction] = 0.05
    """Fraction of the maximal entropy below which a policy has collapsed."""
    nats: Annotated[float, Positive] = 0.05
    """Entropy below which, where its maximum is unknown, a discrete policy has collapsed."""
    fall: Annotated[float, Positive] = 3.9
    """Fall in nats of a collapsed continuous policy: a standard deviation at 2 % of its start."""
    tau: Annotated[float, Fraction] = 0.3
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 8
    """Rows before the rule judges, at most half of the budget."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the late entropy is close to zero."""
        # A slow run is deterministic before its gain exceeds the noise; the trend is seen earlier.
        if history.trend > self.tau:
            return None
        name = "entropy_normalised" if history.has("entropy_normalised") else "entropy"
        # A window that grows with the run, as the entropy of a healthy policy dips now and then.
        window = math.ceil(len(history) / 3)
        late = history.median(name, window)
        if math.isnan(late):
            return None
        severity, sick = self._judge_late(history, name, late)
        # Recent improvement is asked for last, because it judges several earlier histories.
        if severity is None or history.has_improved_lately(self.rows):
            return None
        unit = "of its maximum" if name == "entropy_normalised" else "nats"
        return self.report(
            severity,
            history.find_onset(sick, window),
            f"entropy is {late:.2g} {unit} over the last {window} iterations and the score has "
            "not improved",
        )

    def _judge_late(
        self, history: History, name: str, late: float
    ) -> tuple[Severity | None, BoolArray]:
        """Return the severity, and which rows [R] are sick by themselves."""
        values = history.series(name)
        if name == "entropy_normalised":
            return ("stop" if late < self.normalised else None), values < self.normalised
        # One negative value shows that the entropy is differential, where zero is no floor.
        if 0 <= late < self.nats and not np.any(values < 0):
            return "stop", values < self.nats
        # A tenth of the rows instead of the first alone: the first update often moves the entropy
        # most.
        early = values[np.isfinite(values)][: max(1, len(history) // 10)]
        floor = float(np.median(early)) - self.fall
        return ("warn" if late < floor else None), values < floor
