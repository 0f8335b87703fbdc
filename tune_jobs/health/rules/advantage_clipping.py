"""Rule ``advantage_clipping``: most advantages are cut off, so that they no longer differ."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, put


@dataclasses.dataclass(frozen=True)
class AdvantageClipping(Rule):
    """More than half of the advantages lie beyond the limit at which they are cut off.

    The share is the shopping post-mortem's. Cut off, only their sign is left: that is enough to
    learn from, slowly, so a run whose score has improved gets a note. Advantages that were
    normalised before can hardly be sick: at most 4 % of them lie beyond 5 standard deviations.

    Warm-up: ``rows`` rows. NaN policy: rows without the share are left out.
    """

    symptom: ClassVar[str] = "advantage_clipping"
    needs: ClassVar[tuple[str, ...]] = ("advantage_clip_fraction", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "advantages that are not normalised before they are cut off",
        "rewards much larger than the limit",
        "V* far from all returns",
    )
    remedy: ClassVar[Remedy] = (
        put("normalise_advantages", True, "normalise the advantages ({})"),
        SCALED_REWARDS,
        "then look for `v_star_optimistic` and `v_star_pessimistic`",
    )

    clip_fraction: Annotated[float, Fraction] = 0.5
    """Share of advantages cut off above which an iteration is sick."""
    rows: Annotated[int, AtLeastOne] = 5
    """The median of this many last iterations is judged."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when most of the recent advantages were cut off."""
        if not history.is_warmed_up(self.rows, 0.0):
            return None
        shares = history.recent("advantage_clip_fraction", self.rows)
        if shares.size == 0 or np.median(shares) <= self.clip_fraction:
            return None
        learnt = "and the score has not improved" if history.improved is False else ""
        return Finding(
            self.symptom,
            "warn" if learnt else "note",
            history.find_onset(
                history.series("advantage_clip_fraction") > self.clip_fraction, self.rows
            ),
            f"{np.median(shares):.0%} of the advantages of the last {self.rows} iterations were "
            f"cut off {learnt}".rstrip(),
        )
