"""Rule ``std_blowup``: a continuous policy becomes ever more random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.improvement import kendall_tau
from tune_jobs.health.remedy import Remedy, at_most, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class StdBlowup(Rule):
    """The entropy has risen by ln 4 and still rises, and the score has not improved.

    A normal distribution with four times the standard deviation has ln 4 = 1.39 nats more; with
    several dimensions each needs less. A discrete policy starts near its maximum and cannot rise
    that far. The factor of four is a choice; healthy policies narrow in the end.

    Warm-up: ``rows`` rows. NaN policy: rows without the entropy are left out.
    """

    symptom: ClassVar[str] = "std_blowup"
    needs: ClassVar[tuple[str, ...]] = ("entropy", SCORE)
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "an entropy bonus that outweighs the advantages",
        "actions so far outside their bounds that a larger standard deviation changes nothing",
        "advantages that are zero or noise",
    )
    remedy: ClassVar[Remedy] = (
        at_most("entropy_coef", 0),
        put("value_distribution", "beta", "use a bounded distribution ({})"),
        "check that the reward depends on the action",
    )

    rise: Annotated[float, Positive] = 1.39
    """Rise of the entropy in nats since the first row from which the policy is sick."""
    tau: Annotated[float, Fraction] = 0.5
    """Kendall's tau of the entropy above which it still rises."""
    rows: Annotated[int, AtLeastOne] = 10
    """Rows before the rule judges, at most half of the budget."""

    def judge(self, history: History) -> Finding | None:
        """Return a stop when the standard deviation has grown fourfold."""
        entropy = history.recent("entropy", len(history))
        # A rise that has ended is a policy that has found its width.
        if entropy.size < 5 or kendall_tau(entropy) <= self.tau:
            return None
        # The median of three rows, because one noisy row would make a fourfold width.
        first, late = float(entropy[0]), float(np.median(entropy[-3:]))
        if late - first < self.rise:
            return None
        return self.report(
            "stop",
            history.find_onset(history.series("entropy") - first >= self.rise, 3),
            f"entropy rose from {first:.3g} to {late:.3g} nats and the score has not improved",
        )
