"""Rule ``hung``: rollout workers die or hang, and RLlib replaces them silently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy, increase
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class Hung(Rule):
    """A worker was lost: training continues with the others, slower, and may lose it again.

    A single loss gives a warning. A loss in every iteration means that the environment causes it,
    and the run makes almost no progress. The limit is a choice, not a measurement.

    Warm-up: none. NaN policy: a row without the count is a row without remote workers.
    """

    symptom: ClassVar[str] = "hung"
    needs: ClassVar[tuple[str, ...]] = ("runners_lost",)
    can_recover: ClassVar[bool] = False
    stops_rising: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "a step or reset of the environment that never returns",
        "an environment that kills its own process",
        "too little memory for the workers",
    )
    remedy: ClassVar[Remedy] = (
        "fix the environment where it hangs",
        increase("hang_limit_s", 120, "if its steps may take that long raise {}"),
    )

    always: Annotated[int, AtLeastOne] = 5
    """Consecutive iterations with a loss from which it asks for a stop."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the last iteration lost a worker."""
        lost = history.series("runners_lost")
        # Only the newest row counts: a worker that was replaced and stayed alive needs no warning
        # any more.
        if not lost[-1] > 0:
            return None
        run = 1
        # Losses in a row point to the environment; scattered ones are more often the machine.
        while run < lost.size and lost[-1 - run] > 0:
            run += 1
        where = str(history.rows[-1].get("runners_lost_why") or "it was killed or ended itself")
        return self.report(
            "stop" if run >= self.always else "warn",
            history.iteration(lost.size - run),
            f"{lost[-1]:.0f} rollout workers lost in {run} iterations in a row: {where}",
        )
