"""Rule ``observation_scale``: observations so large that a network saturates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, use
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class ObservationScale(Rule):
    """Observations have entries far above 1, and the score has not improved.

    Scale alone is no fault (CartPole was learnt from observations a million times too large), so
    the finding is a note; a warning also needs dead hidden units.

    Warm-up: ``rows`` rows. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "observation_scale"
    needs: ClassVar[tuple[str, ...]] = ("observation_abs_max", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "observations in the units of the domain (pixels, prices, time stamps)",
        "a counter or an accumulated sum among the entries",
        "a placeholder such as 1e9 for a missing value",
    )
    remedy: ClassVar[Remedy] = (
        # Seen after normalisation, which leaves no entry beyond 10: of these there is none.
        use("normalise_observations", "switch on {}"),
        "divide each entry by its usual size, so that observations stay within -10 and 10",
        "use a mask instead of a placeholder",
    )

    size: Annotated[float, Positive] = 100.0
    """Size of the largest entry above which it notes: ten times the 10 which RLExplorer allows."""
    dead: Annotated[float, Fraction] = 0.5
    """Fraction of dead units above which it warns (as in `dead_units`)."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations whose medians are judged."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the recent observations are large."""
        size = history.median("observation_abs_max", self.rows)
        if not size > self.size:
            return None
        # Large entries matter only if they saturate the network; NaN (not logged) leaves the note.
        dead = history.median("dead_unit_fraction", self.rows)
        saturated = f", {dead:.0%} of the hidden units are dead" if dead > self.dead else ""
        return self.report(
            "warn" if saturated else "note",
            history.find_onset(history.series("observation_abs_max") > self.size, self.rows),
            f"observations reach {size:.3g} in size{saturated} and the score has not improved",
        )
