"""Rule ``std_blowup``: a continuous policy becomes ever more random."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule
from tune_jobs.health.improvement import kendall_tau
from tune_jobs.health.remedy import Remedy, at_most, put


@dataclasses.dataclass(frozen=True)
class StdBlowup(Rule):
    """The entropy has risen by ln 4 since the start, still rises, and the score has not improved.

    A normal distribution whose standard deviation is four times as large has ln 4 = 1.39 nats more;
    of several values each needs less. A choice begins at its maximum and cannot rise that far.
    The four is that of the spec of the health rules; healthy policies narrow in the end.

    Warm-up: ``rows`` rows. NaN policy: rows without the entropy are left out.
    """

    symptom: ClassVar[str] = "std_blowup"
    needs: ClassVar[tuple[str, ...]] = ("entropy", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "an entropy bonus that outweighs the advantages",
        "actions so far beyond their bounds that a wider spread changes nothing",
        "advantages that are zero or noise",
    )
    remedy: ClassVar[Remedy] = (
        at_most("entropy_coef", 0),
        put("value_distribution", "beta", "use a bounded distribution ({})"),
        "see that the reward follows from the action",
    )

    rise: Annotated[float, Positive] = 1.39
    """Nats that the late entropy must be above the first."""
    tau: Annotated[float, Fraction] = 0.5
    """Kendall's tau of the entropy above which it goes on rising."""
    rows: Annotated[int, AtLeastOne] = 10
    """Rows before it judges (or half of the budget, if that is less)."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the spread has grown fourfold."""
        if not history.is_warmed_up(self.rows, 0.0) or history.improved is not False:
            return None
        values = history.series("entropy")
        entropy = values[np.isfinite(values)]
        if entropy.size < 5 or kendall_tau(entropy) <= self.tau:
            return None
        first, late = float(entropy[0]), float(np.median(entropy[-3:]))
        if late - first < self.rise:
            return None
        return Finding(
            self.symptom,
            "stop",
            history.find_onset(values - first >= self.rise, 3),
            f"entropy rose from {first:.3g} to {late:.3g} nats and the score has not improved",
        )
