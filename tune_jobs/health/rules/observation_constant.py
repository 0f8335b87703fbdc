"""Rule ``observation_constant``: the agent sees the same thing all the time."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy


@dataclasses.dataclass(frozen=True)
class ObservationConstant(Rule):
    """No entry of the observation changed during whole rollouts, in any copy.

    Some constant entries (padding, one-hot codes) are normal: all of them must be. A bandit has a
    constant observation by right and can be learnt, so an improved score ends the matter, and it
    is a note until that is known.

    Warm-up: ``rows`` rows. NaN policy: rows without the share are left out.
    """

    symptom: ClassVar[str] = "observation_constant"
    needs: ClassVar[tuple[str, ...]] = ("observation_constant_fraction", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "step() returns the array that reset() made, or a copy of it",
        "a wrapper or filter that replaces the observation",
        "clipping or rounding that leaves a single value",
    )
    remedy: ClassVar[Remedy] = (
        "print what step() returns after different actions: `rungwise check ENV` shows an "
        "observation that is shared between steps",
    )

    rows: Annotated[int, AtLeastOne] = 3
    """All of this many last iterations must be sick."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when nothing in the recent observations moved."""
        shares = history.recent("observation_constant_fraction", self.rows)
        if history.improved or shares.size < self.rows or shares.min() < 1:
            return None
        severity: Severity = "note" if history.improved is None else "stop"
        return Finding(
            self.symptom,
            severity,
            history.find_onset(history.series("observation_constant_fraction") >= 1, self.rows),
            f"every entry of the observation was constant in each of the last {self.rows} "
            "iterations",
        )
