"""Rule ``dead_units``: hidden units that give the same answer to every observation."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, lower, put


@dataclasses.dataclass(frozen=True)
class DeadUnits(Rule):
    """Most hidden units are saturated for every row, and the score has not improved.

    A unit that is off for half of the rows is normal for ``relu``; dead is one that has the same
    saturated output for all. Above half of a network RLExplorer and SageMaker's debugger raise an
    alarm. A network that has learnt may need few units, hence the score.

    Warm-up: ``rows`` rows. NaN policy: rows without the share are left out.
    """

    symptom: ClassVar[str] = "dead_units"
    needs: ClassVar[tuple[str, ...]] = ("dead_unit_fraction", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "updates too large for the network, above all with relu",
        "observations so large that tanh saturates",
        "an observation that does not change",
    )
    remedy: ClassVar[Remedy] = (
        "scale the observations to within -10 and 10",
        lower("lr", 1e-4, "then lower {}"),
        put("grad_clip", 0.5, "clip with {}"),
        put("activation", "tanh", "use {}"),
    )

    warn: Annotated[float, Fraction] = 0.5
    """Share of dead units above which it warns."""
    stop: Annotated[float, Fraction] = 0.99
    """Share above which it asks for a stop: nothing of the observation gets through."""
    rows: Annotated[int, AtLeastOne] = 5
    """The median of this many last iterations is judged."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when most of the units were dead recently."""
        if not history.is_warmed_up(self.rows, 0.0) or history.improved is not False:
            return None
        shares = history.recent("dead_unit_fraction", self.rows)
        if shares.size == 0 or np.median(shares) <= self.warn:
            return None
        severity: Severity = "stop" if np.median(shares) > self.stop else "warn"
        return Finding(
            self.symptom,
            severity,
            history.find_onset(history.series("dead_unit_fraction") > self.warn, self.rows),
            f"{np.median(shares):.0%} of the hidden units gave one and the same output for all "
            f"rows of the last {self.rows} iterations and the score has not improved",
        )
