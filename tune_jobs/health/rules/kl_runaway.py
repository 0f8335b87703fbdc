"""Rule ``kl_runaway``: an update moves the policy much further than it should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy, at_most, lower, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class KlRunaway(Rule):
    """The KL divergence between the policies before and after an update is far too large.

    Healthy runs stay below 0.18 in their worst and 0.022 in their median iteration. Policies do not
    recover from a KL above ``jump``; it ends a run that has not improved, at any time of its
    budget. A smaller excess only warns, and a high median only warns while the score does not rise
    (the best trials of a causal sweep begin at 0.37); ``no_improvement`` ends such a run. Runs that
    learn from pairs (DPO) are judged by the jump alone.

    Warm-up: ``high_rows`` finite values for all but the jump; below ``window`` rows their median is
    compared with ``high``. NaN policy: NaN is left out, +Inf is a jump.
    """

    symptom: ClassVar[str] = "kl_runaway"
    needs: ClassVar[tuple[str, ...]] = ("kl",)
    can_recover: ClassVar[bool] = False
    causes: ClassVar[tuple[str, ...]] = (
        "the learning rate is too high",
        "too many epochs over the same rows",
        "advantages or rewards whose size changes from one iteration to the next",
    )
    remedy: ClassVar[Remedy] = (
        lower("lr", 1e-4),
        at_most("epochs", 4),
        put("kl_limit", 0.02, "stop the epochs of an iteration at {}"),
    )

    jump: Annotated[float, Positive] = 10.0
    """KL in nats of one iteration above which the policy does not recover."""
    high: Annotated[float, Positive] = 0.5
    """KL above which an iteration is sick."""
    median: Annotated[float, Positive] = 0.1
    """Median KL above which the last iterations are sick together."""
    rising: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it rises."""
    high_rows: Annotated[int, AtLeastOne] = 3
    """Number of sick iterations among the last ``window`` that give a finding."""
    window: Annotated[int, AtLeastOne] = 10
    """Number of last iterations that are judged for all but the jump."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when KL jumped once or is repeatedly high."""
        kl = history.series("kl")
        # In the whole run, not in a window: a policy does not come back from such a step.
        jumps = np.flatnonzero(kl > self.jump)
        if jumps.size and not history.improved:
            since = history.iteration(int(jumps[0]))
            return self._report("stop", since, f"KL {kl[jumps[0]]:.3g} at iteration {since}")
        # What DPO has learnt from its pairs it need not collect again: healthy runs move by 0.7 in
        # their median iteration and by 3 in their worst.
        if history.has("pair_accuracy"):
            return None
        recent = history.recent("kl", self.window)
        if recent.size < self.high_rows:
            return None
        sick = int(np.count_nonzero(recent > self.high))
        # Several rows, because a policy may recover from a single large step.
        if sick >= self.high_rows:
            since = history.find_onset(kl > self.high, self.window)
            seen = f"KL above {self.high:g} in {sick} of the last {recent.size} iterations"
            return self._report("warn", since, seen)
        # The first updates move a policy furthest, above all after a warm start: the limit of later
        # ones flagged a healthy run of DPO.
        limit = self.median if history.is_warmed_up(self.window, 0.0) else self.high
        middle = float(np.median(recent))
        # RLExplorer's limit of 0.1 for any row flags 3 of 30 healthy runs; as a median it flags
        # none.
        if middle > limit and not (history.improved or history.trend > self.rising):
            since = history.find_onset(kl > limit, self.window)
            seen = f"median KL {middle:.2g} over the last {recent.size} iterations"
            return self._report("warn", since, seen)
        return None

    def _report(self, severity: Severity, since: int, seen: str) -> Finding:
        evidence = f"{seen}: the updates are too large (healthy runs stay below 0.2)"
        return self.report(severity, since, evidence)
