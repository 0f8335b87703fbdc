"""Rule ``hung``: rollout workers die or hang, which RLlib replaces without a word."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, validate
from tune_jobs.health.finding import Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, increase


@dataclasses.dataclass(frozen=True)
class Hung(Rule):
    """A worker was lost: training goes on with the others, slower, and may lose it again.

    A single loss is worth a warning; one in every iteration means that the environment does it, and
    the run only crawls. Thresholds: what an operator would not want to miss.

    Warm-up: none. NaN policy: a row without the count is a row without remote workers.
    """

    symptom: ClassVar[str] = "hung"
    needs: ClassVar[tuple[str, ...]] = ("runners_lost",)
    causes: ClassVar[tuple[str, ...]] = (
        "a step or reset of the environment that never returns",
        "an environment that kills its own process",
        "too little memory for the workers",
    )
    remedy: ClassVar[Remedy] = (
        "mend the environment where it hangs",
        increase("hang_limit_s", 120, "if its steps may take that long raise {}"),
    )
    can_recover: ClassVar[bool] = False
    stops_rising: ClassVar[bool] = True

    always: Annotated[int, AtLeastOne] = 5
    """Iterations in a row with a loss after which the run is not worth going on with."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the last row lost a worker."""
        lost = history.series("runners_lost")
        if not lost.size or not lost[-1] > 0:
            return None
        run = 0
        while run < lost.size and lost[-1 - run] > 0:
            run += 1
        where = str(history.rows[-1].get("runners_lost_why") or "it was killed or ended itself")
        severity: Severity = "stop" if run >= self.always else "warn"
        return Finding(
            self.symptom,
            severity,
            history.iteration(lost.size - run),
            f"{lost[-1]:.0f} rollout workers lost in {run} iterations in a row: {where}",
        )
