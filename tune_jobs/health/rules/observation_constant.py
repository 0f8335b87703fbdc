"""Rule ``observation_constant``: the observation never changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class ObservationConstant(Rule):
    """No entry of the observation changed during whole rollouts, in any copy.

    Some constant entries (padding, one-hot codes) are normal: all of them must be constant. A
    bandit has a constant observation by design and can be learnt, so an improved score clears the
    run, and the finding is a note until the score can be judged.

    Warm-up: ``rows`` rows. NaN policy: rows without the metric are left out.
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
    """Number of last iterations, all of which must be sick."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when no entry of the recent observations changed."""
        constant = history.recent("observation_constant_fraction", self.rows)
        # Any entry that moves is enough: padding and one-hot entries are constant in healthy runs.
        if history.improved or constant.size < self.rows or constant.min() < 1:
            return None
        return self.report(
            "note" if history.improved is None else "stop",
            history.find_onset(history.series("observation_constant_fraction") >= 1, self.rows),
            f"every entry of the observation was constant in each of the last {self.rows} "
            "iterations",
        )
