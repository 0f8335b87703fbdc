"""Rule ``memory_unused``: the policy acts the same whatever it remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, lower, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class MemoryUnused(Rule):
    """The policy's outputs do not depend on the recurrent state.

    The effect of the state is compared with that of the present observation, because the outputs of
    a policy that has learnt nothing hardly depend on either. In 18 healthy trainings (GRU and LSTM)
    the share of memory was .07 at the start to .98 where the task needs memory, and at least .18 in
    CartPole, Catch and MiniGrid, which need none. The lowest was .016, when all that paid was the
    present observation and the task had been solved for long. Lost states and closed gates give 0.

    So a share near zero is a fault of the memory itself, and a large one does not mean that the
    task needs memory. It is a warning while the score does not improve. Once it has improved, all
    that can be said is that memory costs time: a note.

    Warm-up: ``rows`` rows. NaN policy: rows without the metric are left out.
    """

    symptom: ClassVar[str] = "memory_unused"
    needs: ClassVar[tuple[str, ...]] = ("memory_effect_fraction", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "episodes of a single step, in which there is nothing to remember",
        "gates of the recurrent layer that updates which were too large have closed",
        "a runner or policy of your own that does not carry the state from step to step",
    )
    remedy: ClassVar[Remedy] = (
        "`rungwise check ENV` shows whether rewards depend on what was seen earlier",
        lower("lr", 1e-4, "if they do, lower {}"),
        put("memory", "none", "if they do not, set {}, which is faster"),
    )

    limit: Annotated[float, Fraction] = 0.005
    """Share of memory in what the outputs depend on, below which it counts as unused."""
    rows: Annotated[int, AtLeastOne] = 9
    """Number of last iterations, all of which must be sick: three measurements, one in four."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the memory had no effect in all recent rows."""
        effect = history.recent("memory_effect_fraction", self.rows)
        if history.improved is None or effect.size < self.rows or effect.max() >= self.limit:
            return None
        share = float(effect.max())
        return self.report(
            "note" if history.improved else "warn",
            history.find_onset(history.series("memory_effect_fraction") < self.limit, self.rows),
            f"at most {share:.1%} of what the policy's outputs depend on was memory in the last "
            f"{self.rows} iterations, "
            + (
                "and the score has improved without it: memory costs time"
                if history.improved
                else "and the score has not improved"
            ),
        )
