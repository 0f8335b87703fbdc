"""Rule ``dead_units``: hidden units give the same output for every observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import SCALED_OBSERVATIONS, Remedy, lower, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class DeadUnits(Rule):
    """Most hidden units are saturated for every row, and the score has not improved.

    A ``relu`` unit that is off for half of the rows is normal; a dead unit has the same saturated
    output for all. RLExplorer and SageMaker's debugger raise an alarm above half of a network. A
    network that has learnt may need few units, hence the condition on the score.

    Warm-up: ``rows`` rows. NaN policy: rows without the metric are left out.
    """

    symptom: ClassVar[str] = "dead_units"
    needs: ClassVar[tuple[str, ...]] = ("dead_unit_fraction", SCORE)
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "updates too large for the network, above all with relu",
        "observations so large that tanh saturates",
        "an observation that does not change",
    )
    remedy: ClassVar[Remedy] = (
        SCALED_OBSERVATIONS,
        lower("lr", 1e-4, "then lower {}"),
        put("grad_clip", 0.5, "clip with {}"),
        put("activation", "tanh", "use {}"),
    )

    warn: Annotated[float, Fraction] = 0.5
    """Fraction of dead units above which the finding is a warning."""
    stop: Annotated[float, Fraction] = 0.99
    """Fraction above which it asks for a stop: the output no longer depends on the observation."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations whose median is judged."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when most of the units were dead recently."""
        dead = history.median("dead_unit_fraction", self.rows)
        # Up to a half is normal with relu, and a small task needs few units of a large network.
        if not dead > self.warn:
            return None
        return self.report(
            "stop" if dead > self.stop else "warn",
            history.find_onset(history.series("dead_unit_fraction") > self.warn, self.rows),
            f"{dead:.0%} of the hidden units had the same output for all rows of the last "
            f"{self.rows} iterations and the score has not improved",
        )
