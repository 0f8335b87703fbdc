"""Rule ``observation_scale``: numbers so large that a network saturates."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy


@dataclasses.dataclass(frozen=True)
class ObservationScale(Rule):
    """Observations have entries far above 1, and the score has not improved.

    Scale alone is no fault (observations a million times too large still learnt CartPole), so it
    is a note; a warning needs hidden units that are dead of it.

    Warm-up: ``rows`` rows. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "observation_scale"
    needs: ClassVar[tuple[str, ...]] = ("observation_abs_max", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "observations in the units of the domain (pixels, prices, time stamps)",
        "a counter or an accumulated sum among the entries",
        "a placeholder such as 1e9 for what is not there",
    )
    remedy: ClassVar[Remedy] = (
        "divide each entry by its usual size, so that observations stay within -10 and 10",
        "use a mask instead of a placeholder",
    )

    size: Annotated[float, Positive] = 100.0
    """Largest entry above which it notes: ten times the 10 which RLExplorer allows."""
    dead: Annotated[float, Fraction] = 0.5
    """Share of dead units above which it warns (`dead_units`)."""
    rows: Annotated[int, AtLeastOne] = 5
    """The medians of this many last iterations are judged."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the recent observations are large and nothing was learnt from them."""
        if not history.is_warmed_up(self.rows, 0.0) or history.improved is not False:
            return None
        sizes = history.recent("observation_abs_max", self.rows)
        if sizes.size == 0 or np.median(sizes) <= self.size:
            return None
        dead = history.recent("dead_unit_fraction", self.rows)
        share = float(np.median(dead)) if dead.size else 0.0
        saturated = f", {share:.0%} of the hidden units are dead" if share > self.dead else ""
        return Finding(
            self.symptom,
            "warn" if saturated else "note",
            history.find_onset(history.series("observation_abs_max") > self.size, self.rows),
            f"observations reach {np.median(sizes):.3g} in size{saturated} and the score has not "
            "improved",
        )
