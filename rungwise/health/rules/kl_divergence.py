"""Rules on KL divergences: from one policy to the next, and from the reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rungwise.health.finding import Finding, Severity
from rungwise.health.history import SCORE, History
from rungwise.health.improvement import FloatArray, median
from rungwise.health.remedy import at_most, increase, limit, lower
from rungwise.health.rule import Rule
from rungwise.health.threshold_rule import ThresholdRule
from rungwise.validation import AtLeastOne, Fraction, Positive

HEALTHY_KL, HEALTHY_MEDIAN_KL = "0.2", "0.03 in their median iteration"
"""Limits of the KL of healthy runs: in every iteration, and in the median one."""


@dataclass(frozen=True)
class KlRunaway(Rule):
    """The KL divergence between the policies before and after an update is far too large.

    Healthy runs stay below 0.18 in their worst and 0.022 in their median iteration. Hardly a policy
    recovers from a KL above ``jump``, but one of a stranger's traded with KLs of 10 to 400 and
    learnt all the same: so it ends a run only once its score is known not to have improved. Of a
    long run it must be the mean of a part of it, as one row of thousands may be an
    estimate that a single action spoils: such a row warns. A smaller excess only warns, and a high
    median only warns while the score does not rise (the best trials of a causal sweep begin at
    0.37); ``no_improvement`` ends such a run. Runs that learn from pairs (DPO) are judged by the
    jump alone.
    """

    symptom = "kl_runaway"
    title = "An update moves the policy much further than it should"
    needs = ("kl",)
    warm_up = (
        "`high_rows` finite values for all but the jump; below `window` rows their median is "
        "compared with `high`"
    )
    nan_policy = "NaN is left out, +Inf is a jump"
    causes = (
        "the learning rate is too high",
        "too many epochs over the same rows",
        "advantages or rewards whose size changes from one iteration to the next",
    )
    remedy = (
        lower("lr", 1e-4),
        at_most("epochs", 4),
        limit("kl_limit", 0.02, "stop the epochs of an iteration at {}"),
    )

    jump: Annotated[float, Positive] = 10.0
    """KL in nats of one iteration above which hardly a policy recovers."""
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
    parts: Annotated[int, AtLeastOne] = 500
    """Parts of a run whose means are compared with ``jump``: as many as a live run is judged by."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when KL jumped once or is repeatedly high."""
        kl = history.series("kl")
        # In the whole run, not in a window: a policy does not come back from such a step.
        # Rows of a log that are judged as one have a mean, which hides the largest. Ours are not
        # joined: their largest KL is that of a minibatch.
        highest = kl if history.settings else np.fmax(kl, history.series("kl_max"))
        jumps = np.flatnonzero(highest > self.jump)
        if jumps.size and not history.progress.improved:
            means = self._average_parts(kl)
            # None is too early to say that the score has not improved.
            is_lost = history.progress.improved is False and np.any(means > self.jump)
            severity: Severity = "stop" if is_lost else "warn"
            since = history.iteration(int(jumps[0]))
            evidence = f"KL {highest[jumps[0]]:.3g} at iteration {since}"
            return self._report(history, severity, since, evidence, HEALTHY_KL)
        # DPO need not collect again what it learns from: healthy runs move by 0.7 in their
        # median iteration and by 3 in their worst.
        if history.has("pair_accuracy"):
            return None
        recent = history.recent("kl", self.window)
        if recent.size < self.high_rows:
            return None
        sick = int(np.count_nonzero(recent > self.high))
        # Several rows, because a policy may recover from a single large step.
        if sick >= self.high_rows:
            since = history.find_onset(kl > self.high, self.window)
            evidence = f"KL above {self.high:g} in {sick} of the last {recent.size} iterations"
            return self._report(history, "warn", since, evidence, HEALTHY_KL)
        # The first updates move a policy furthest, above all after a warm start: the limit of later
        # ones flagged a healthy run of DPO.
        limit = self.median if recent.size >= self.window else self.high
        middle = median(recent)
        # RLExplorer's limit of 0.1 for any row flags 3 of 30 healthy runs; as a median none.
        rises = history.progress.improved or history.progress.trend > self.rising
        if middle > limit and not rises:
            since = history.find_onset(kl > limit, self.window)
            evidence = f"median KL {middle:.2g} over the last {recent.size} iterations"
            return self._report(history, "warn", since, evidence, HEALTHY_MEDIAN_KL)
        return None

    def _average_parts(self, kl: FloatArray) -> FloatArray:
        """Return the means of equal parts of a series [R]; of a short one its rows."""
        starts = np.arange(0, kl.size, math.ceil(kl.size / self.parts))
        counts = np.add.reduceat(~np.isnan(kl), starts, dtype=np.float64)
        return np.add.reduceat(np.where(np.isnan(kl), 0, kl), starts) / np.maximum(counts, 1)

    def _report(
        self, history: History, severity: Severity, since: int, evidence: str, healthy: str
    ) -> Finding:
        # Those that learn from pairs move further: by 3 nats in their worst iteration.
        than = "" if history.has("pair_accuracy") else f" (healthy runs stay below {healthy})"
        return self.report(severity, since, f"{evidence}: the updates are too large{than}")


@dataclass(frozen=True)
class ReferenceKlRunaway(ThresholdRule):
    """The policy is far from its frozen copy, and the score has not improved.

    Per action, which of a language model is a token: at one nat the policy's own actions are e
    times as likely as the copy finds them. A policy that has learnt may be that far (2.5 nats in a
    healthy run that learnt to repeat one word), so the score must not have improved.
    """

    symptom = "reference_kl_runaway"
    title = "The policy has left its reference without a gain"
    needs = ("reference_kl", SCORE)
    highest = "warn"
    stagnant_only = True
    causes = (
        "the learning rate is too high",
        "a penalty on the divergence that is too small, or none",
        "rewards that do not depend on what the policy does",
    )
    remedy = (lower("lr", 1e-4), increase("beta", 0.1, "keep it closer to its reference: raise {}"))
    threshold = "nats"
    sentence = (
        "the KL to the reference is {value:.3g} nats per action in the last {rows} iterations and "
        "the score has not improved"
    )

    nats: Annotated[float, Positive] = 1.0
    """Median KL per action above which the last iterations are sick together."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards."""

    def is_excused(self, history: History) -> bool:
        """Return whether the score tends upwards, which its noise may hide for a while."""
        return history.progress.trend > self.tau
