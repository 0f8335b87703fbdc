"""Rule ``kl_runaway``: an update moves the policy much further than it should."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_most, lower, put


@dataclasses.dataclass(frozen=True)
class KlRunaway(Rule):
    """The KL divergence between the policies before and after the updates is out of all proportion.

    Healthy runs stay below 0.18 in their worst and 0.022 in their median iteration. A jump beyond
    ``jump`` is not recovered from and ends a run that has not improved at any time of its budget.
    Milder excess only warns, and a merely high median only while the score does not rise in spite
    of it (the best trials of a causal sweep begin at 0.37); ``no_improvement`` ends such a run.

    Warm-up: ``rows`` rows for all but the jump. NaN policy: NaN is left out, +Inf is a jump.
    """

    symptom: ClassVar[str] = "kl_runaway"
    needs: ClassVar[tuple[str, ...]] = ("kl",)
    causes: ClassVar[tuple[str, ...]] = (
        "the learning rate is too high",
        "too many passes over the same rows",
        "advantages or rewards of a size that changes from one iteration to the next",
    )
    remedy: ClassVar[Remedy] = (
        lower("lr", 1e-4),
        at_most("epochs", 4),
        put("kl_limit", 0.02, "leave out epochs beyond {}"),
    )
    can_recover: ClassVar[bool] = False

    jump: Annotated[float, Positive] = 10.0
    """KL in nats of one iteration beyond which the policy is another one."""
    high: Annotated[float, Positive] = 0.5
    """KL above which an iteration is sick."""
    median: Annotated[float, Positive] = 0.1
    """Median KL above which the last iterations are sick together."""
    rising: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it is rising."""
    rows: Annotated[int, AtLeastOne] = 3
    """Sick iterations, among the last ``window``, that make a finding."""
    window: Annotated[int, AtLeastOne] = 10
    """Last iterations looked at for all but the jump."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when KL jumped once beyond return, or is large again and again."""
        kl = history.series("kl")
        jumps = np.flatnonzero(kl > self.jump)
        if jumps.size and not history.improved:
            since = history.iteration(int(jumps[0]))
            return self._finding("stop", since, f"KL {kl[jumps[0]]:.3g} at iteration {since}")
        recent = history.recent("kl", self.window)
        if recent.size < self.rows:
            return None
        sick = int(np.count_nonzero(recent > self.high))
        if sick >= self.rows:
            since = history.find_onset(kl > self.high, self.window)
            seen = f"KL above {self.high:g} in {sick} of the last {recent.size} iterations"
            return self._finding("warn", since, seen)
        middle = float(np.median(recent))
        if middle > self.median and not (history.improved or history.trend > self.rising):
            since = history.find_onset(kl > self.median, self.window)
            seen = f"median KL {middle:.2g} over the last {recent.size} iterations"
            return self._finding("warn", since, seen)
        return None

    def _finding(self, severity: Severity, since: int, seen: str) -> Finding:
        return Finding(
            self.symptom,
            severity,
            since,
            f"{seen}: the policy jumps instead of stepping (healthy runs stay below 0.2)",
        )
