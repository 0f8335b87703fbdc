"""Rule ``fell_from_best``: the run ended clearly below the best that it had reached."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.improvement import FloatArray, estimate_jump_sd
from tune_jobs.health.remedy import Remedy, increase, lower, put
from tune_jobs.health.rule import Rule
from tune_jobs.health.rules.performance_collapse import PerformanceCollapse


@dataclass(frozen=True)
class FellFromBest(Rule):
    """The mean of the last scores is below the best mean of as many neighbours.

    Judged once, when the budget is used up: until then a run may recover. The fall is measured
    against the noise of the two means, by the larger of two estimates: the scatter of the episodes
    of each score (where it is the mean return) and the jumps between scores. It must also be a part
    of what the run had gained. ``performance_collapse`` reports larger and lasting falls.

    A note and no warning: its best checkpoint is the result, and one in twenty healthy trainings of
    other libraries ends so.

    Warm-up: the whole budget and twice the window. NaN policy: rows without a finite score are left
    out.
    """

    symptom: ClassVar[str] = "fell_from_best"
    needs: ClassVar[tuple[str, ...]] = (SCORE,)
    highest: ClassVar[Severity] = "note"
    causes: ClassVar[tuple[str, ...]] = (
        "updates that are too large once the policy is good",
        "a value function or a normaliser that the better policy's states are new to",
        "luck: a policy at the edge of what it can do",
    )
    remedy: ClassVar[Remedy] = (
        "use the best checkpoint and not the last",
        lower("lr", 1e-4),
        put("lr_schedule", "linear", "let the learning rate fall: {}"),
        lower("clip", 0.1, without=increase("beta", 0.1)),
        put("kl_limit", 0.02),
    )

    noise: Annotated[float, Positive] = 4.0
    """Standard errors that the fall must exceed; the best is the highest of many means."""
    loss: Annotated[float, Fraction] = 0.1
    """Fraction of the gain that must be lost."""
    visible: Annotated[float, Fraction] = 0.01
    """Fraction of the best mean that must be lost."""
    window_fraction: Annotated[float, Fraction] = 0.05
    """Fraction of the scores that a mean is taken over."""
    window: Annotated[int, AtLeastOne] = 3
    """Scores that a mean is taken over, at least."""
    budget_fraction: Annotated[float, Fraction] = 1.0

    def judge(self, history: History) -> Finding | None:
        """Return a finding where the end is below the best by more than noise."""
        known = history.score_rows
        scores = history.scores[known]
        size = max(self.window, math.ceil(self.window_fraction * scores.size))
        if scores.size < 2 * size or PerformanceCollapse()(history) is not None:
            return None
        windows = np.lib.stride_tricks.sliding_window_view(scores, size)
        means, start = windows.mean(axis=1), float(scores[: self.window].mean())
        best, last = int(np.argmax(means)), float(means[-1])
        # Of neighbouring means without a common score: what a policy wins and loses over some
        # updates is noise, too, and the jumps from score to score do not show it.
        swing = estimate_jump_sd(means[::-size][::-1]) / math.sqrt(2) if means.size > size else 0.0
        error = _estimate_row_errors(history)[known]
        errors = [max(swing, _combine(error[i : i + size])) for i in (best, means.size - 1)]
        least = self.noise * math.hypot(*errors)
        gain, fall = float(means[best]) - start, float(means[best]) - last
        least = max(least, self.visible * abs(float(means[best])))
        if not (fall > least and gain > least and fall > self.loss * gain):
            return None
        sign = 1 if history.mode == "max" else -1
        at = history.iteration(int(known[best + size - 1]))
        return self.report(
            "note",
            at,
            f"{history.score} ended at {sign * last:.4g}, worse than its best, "
            f"{sign * float(means[best]):.4g} at iteration {at} (means of {size} scores)",
        )


def _estimate_row_errors(history: History) -> FloatArray:
    """Return the standard error of the score of each row [R]."""
    by_jumps = estimate_jump_sd(history.scores[history.score_rows]) / math.sqrt(2)
    if history.score != "return_mean":  # the scatter of no other metric is reported
        return np.full(len(history), by_jumps)
    of_episodes = history.series("return_std") / np.sqrt(np.maximum(history.episodes_per_score, 1))
    return np.fmax(of_episodes, by_jumps)


def _combine(errors: FloatArray) -> float:
    """Return the standard error of the mean of values with these errors [N]."""
    return float(np.sqrt(np.sum(errors**2))) / errors.size
