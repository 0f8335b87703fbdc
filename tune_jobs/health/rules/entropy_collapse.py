"""Rule ``entropy_collapse``: the policy became certain before it became good."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.improvement import BoolArray
from tune_jobs.health.remedy import Remedy, at_least, increase, lower


@dataclasses.dataclass(frozen=True)
class EntropyCollapse(Rule):
    """The entropy of the last third of the rows is nearly nothing, and the score has not improved.

    Unconditionally this would flag 17 of 32 healthy runs: a policy that has learnt may be certain.
    So may one that had nearly learnt by its first row: a score that still tends upwards clears it,
    and one that had improved a few rows ago: it became good before it stumbled.
    Judged by the share of the maximum where that is logged (edges post-mortem: 8.83 nats fell to
    0.004). Without it, below ``nats`` counts for discrete choices; a continuous policy's entropy
    may rightly be negative, so there the fall counts, and it only warns, because the fall is a
    sum over dimensions whose number is not known here.

    Warm-up: ``rows`` rows. NaN policy: rows without the entropy are left out.
    """

    symptom: ClassVar[str] = "entropy_collapse"
    needs: ClassVar[tuple[str, ...]] = ("entropy", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "the entropy bonus is too small or gets no gradient",
        "the learning rate is too high",
        "rewards are so rare that the first one found is repeated for ever",
    )
    remedy: ClassVar[Remedy] = (
        increase("entropy_coef", 0.03, "raise the entropy bonus: {}"),
        at_least("entropy_target", 0.3, "steer the entropy with {}"),
        lower("lr", 1e-4),
    )

    normalised: Annotated[float, Fraction] = 0.05
    """Share of the maximal entropy below which a policy has collapsed."""
    nats: Annotated[float, Positive] = 0.05
    """Entropy below which, where its maximum is not known, a discrete policy has collapsed."""
    fall: Annotated[float, Positive] = 3.9
    """Nats by which a continuous policy has collapsed: a standard deviation at 2 % of its start."""
    tau: Annotated[float, Fraction] = 0.3
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 8
    """Rows before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the late entropy is next to nothing."""
        if not history.is_warmed_up(self.rows, 0.0) or history.improved is not False:
            return None
        if history.trend > self.tau:
            return None
        name = "entropy_normalised" if history.has("entropy_normalised") else "entropy"
        window = math.ceil(len(history) / 3)
        recent = history.recent(name, window)
        if recent.size == 0:
            return None
        late = float(np.median(recent))
        severity, sick = self._judge(history, name, late)
        if severity is None or history.has_improved_lately(self.rows):
            return None
        unit = "of its maximum" if name == "entropy_normalised" else "nats"
        return Finding(
            self.symptom,
            severity,
            history.find_onset(sick, window),
            f"entropy is {late:.2g} {unit} over the last {window} iterations and the score has "
            "not improved",
        )

    def _judge(self, history: History, name: str, late: float) -> tuple[Severity | None, BoolArray]:
        """The severity, and which rows [R] are sick by themselves."""
        values = history.series(name)
        if name == "entropy_normalised":
            return ("stop" if late < self.normalised else None), values < self.normalised
        if 0 <= late < self.nats and not np.any(values < 0):
            return "stop", values < self.nats
        early = values[np.isfinite(values)][: max(1, len(history) // 10)]
        floor = float(np.median(early)) - self.fall
        return ("warn" if late < floor else None), values < floor
