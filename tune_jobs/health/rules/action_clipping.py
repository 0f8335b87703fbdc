"""Rule ``action_clipping``: the policy asks for values that the actions do not have."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_most, put


@dataclasses.dataclass(frozen=True)
class ActionClipping(Rule):
    """Nearly all values lie outside of the action's bounds, where they no longer differ.

    Always the largest or smallest value may be the best that can be done (bang-bang control), so
    the score must not have improved. At the start a spread of 1 around 0 has a third of its
    values beyond bounds of 1.

    Warm-up: ``rows`` rows. NaN policy: rows without the share are left out.
    """

    symptom: ClassVar[str] = "action_clipping"
    needs: ClassVar[tuple[str, ...]] = ("action_clip_fraction", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "an entropy bonus that widens the spread without end",
        "bounds that are small beside a spread of 1",
        "a mean driven far outside by updates that are too large",
    )
    remedy: ClassVar[Remedy] = (
        at_most("entropy_coef", 0),
        "give the environment bounds of -1 and 1, scaled inside it",
        put("value_distribution", "beta", "use a bounded distribution ({})"),
    )

    clip_fraction: Annotated[float, Fraction] = 0.9
    """Share of values outside the bounds above which an iteration is sick."""
    rows: Annotated[int, AtLeastOne] = 5
    """The median of this many last iterations is judged."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when nearly all recent values were outside."""
        if not history.is_warmed_up(self.rows, 0.0) or history.improved is not False:
            return None
        shares = history.recent("action_clip_fraction", self.rows)
        if shares.size == 0 or np.median(shares) <= self.clip_fraction:
            return None
        return Finding(
            self.symptom,
            "warn",
            history.find_onset(
                history.series("action_clip_fraction") > self.clip_fraction, self.rows
            ),
            f"{np.median(shares):.0%} of the values of the last {self.rows} iterations were "
            "outside the action's bounds and the score has not improved",
        )
