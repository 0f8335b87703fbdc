"""Rules for the course of the score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np

from rungwise.health.finding import Finding
from rungwise.health.history import SCORE, History
from rungwise.health.improvement import (
    CONSTANT,
    FloatArray,
    average_errors,
    estimate_row_noise,
    estimate_score_sd,
    quantile,
    slide_mean,
)
from rungwise.health.remedy import increase, limit, lower, use
from rungwise.health.rule import Rule
from rungwise.validation import AtLeastOne, Fraction, Positive


@dataclass(frozen=True)
class PerformanceCollapse(Rule):
    """All recent scores are clearly below the start, or most of the gain is lost.

    Both are measured against the noise of a single row (from the jumps between rows) and the size
    of the start. Healthy runs dip, one by 86 % of its gain, and recover: so the fall must last
    for a tenth of the budget, is a note until it has lasted for half of it or the run is over, and
    by default the rule never ends a run.

    A smaller fall is one where the score has since been exactly the same number, for half of the
    scores: the policy does the same in every episode. A solved task has no better scores, and a
    policy that has converged hardly any. Zero, and a score of few values, say less.
    """

    symptom = "performance_collapse"
    title = "The score is far below its start or has lost its gain"
    needs = (SCORE,)
    highest = "warn"
    warm_up = "`rows` rows and the patience"
    causes = (
        "the sign of the reward, the advantage or the loss is wrong (a fall from the start)",
        "an update too large to recover from",
        "an environment that changes during training",
        "actions that are NaN or at their limits in every step (a score of one number)",
    )
    remedy = (
        "if the score fell from the start check the signs of reward and loss",
        lower("lr", 1e-4, "if it fell later lower {}"),
        lower(
            "clip",
            0.1,
            without=increase("beta", 0.1, "keep the policy closer to its reference: raise {}"),
        ),
        limit("kl_limit", 0.02, "stop the epochs of an iteration at {}"),
        "go back to the best checkpoint",
    )

    noise: Annotated[float, Positive] = 4.0
    """Standard deviations that a fall below the start, or a gain, must exceed."""
    relative: Annotated[float, Fraction] = 0.3
    """Fraction of the start's size that it must exceed as well."""
    lost: Annotated[float, Fraction] = 0.8
    """Fraction of the gain that must be lost; healthy runs recover from smaller losses."""
    patience_fraction: Annotated[float, Fraction] = 0.1
    """Fraction of the budget for which the fall must last."""
    rows: Annotated[int, AtLeastOne] = 3
    """Number of rows that define the start and the best; also the shortest patience."""
    warn_after: Annotated[float, Fraction] = 0.5
    """Fraction of the budget for which the fall must last to be more than a note: healthy runs
    recover late."""
    stuck: Annotated[int, AtLeastOne] = 20
    """Scores in a row that must be one number for the score to be stuck."""
    values: Annotated[int, AtLeastOne] = 5
    """Different scores that there must have been before."""
    better: Annotated[float, Fraction] = 0.25
    """Part of their range by which the best tenth of them must be better."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when the score has fallen for good or is stuck below earlier ones."""
        return self._judge_fall(history) or self._judge_stuck(history)

    def _judge_stuck(self, history: History) -> Finding | None:
        """Return a warning when most scores are one number, and many before were better."""
        scores = history.progress.scores[history.progress.settled_rows]
        others = np.flatnonzero(np.abs(scores - scores[-1:]) > CONSTANT * np.abs(scores[-1:]))
        start = int(others[-1]) + 1 if others.size else 0
        rows, before = scores.size - start, scores[:start]
        if rows < max(self.stuck, start) or np.unique(before).size < self.values or not scores[-1]:
            return None
        best, level = quantile(before, 0.9), float(scores[-1])
        if best - level < self.better * np.ptp(before):
            return None
        sign = history.progress.sign
        fact = f"has been exactly {sign * level:.6g} in all {rows} scores"
        more = f", after a tenth of the scores before were {sign * best:.3g} or better"
        return self._report(history, rows, fact, more)

    def _judge_fall(self, history: History) -> Finding | None:
        """Return a warning when all recent scores are lower than any healthy run stays."""
        scores = history.progress.scores[history.progress.settled_rows]
        patience = max(self.rows, math.ceil(self.patience_fraction * history.score_budget))
        if scores.size < self.rows + patience:
            return None
        # The start is a mean and the best a median: both must not hang on one lucky row.
        start, latest = float(np.mean(scores[: self.rows])), float(scores[-patience:].max())
        # In most healthy runs: what must lie below the start or the best is the highest of all.
        if latest >= max(start, scores.max()):
            return None
        windows = np.lib.stride_tricks.sliding_window_view(scores, self.rows)
        best = float(np.median(windows, axis=1).max())
        least = max(self.noise * estimate_row_noise(scores), self.relative * abs(start))
        # Without a clear gain there is nothing to lose, so the reference is the start. A wrong sign
        # of the loss is found this way.
        floor, reference, level = start - least, "start", start
        if best - start > least:
            floor, reference, level = best - self.lost * (best - start), "best", best
        # All recent rows must be below: healthy dips of up to 86 % of the gain have recovered.
        if latest >= floor:
            return None
        above = np.flatnonzero(scores >= floor)
        if not above.size:  # the mean of floats near overflow can lie above all of them
            return None
        rows_below = scores.size - 1 - int(above[-1])
        now = float(np.median(scores[-patience:]))
        sign = history.progress.sign
        went = f"went from {sign * level:.3g} at its {reference} to {sign * now:.3g}"
        return self._report(history, rows_below, f"{went} and has stayed there")

    def _report(self, history: History, rows: int, fact: str, more: str = "") -> Finding:
        """Report what is true of all of the last ``rows`` scores; a note until that lasts."""
        since = history.iteration(int(history.progress.settled_rows[-rows]))
        lasts = rows >= self.warn_after * history.score_budget
        severity = "warn" if lasts or history.is_over else "note"
        return self.report(severity, since, f"{history.score} {fact} since iteration {since}{more}")


@dataclass(frozen=True)
class Overfitting(Rule):
    """The return in training rises while that on held-out seeds, or prompts, falls.

    Both are compared at the evaluations: the last ones with as many around the best held-out
    return. The fall must exceed its noise, a part of the best and a part of what had been gained,
    and the mean of the last quarter must have lost half of it: the best of many means is always
    above the last.
    """

    symptom = "overfitting"
    title = "The return rises in training and falls on what is held out"
    needs = ("held_out_return_mean", "return_mean")
    highest = "warn"
    stops_rising = True
    warm_up = "`evaluations` held-out returns"
    silence_disproves = True
    causes = (
        "too few prompts or seeds, which are learnt by heart",
        "a reward in training that is easier to get than what the evaluation measures",
        "settings that hold in training only: sampling, limits of length, normalisation",
    )
    remedy = (
        "use the checkpoint with the best held-out return",
        "train on more prompts or seeds, and fewer times on each",
        lower("lr", 1e-4, without=increase("beta", 0.1, "keep it closer to its reference: {}")),
        "read some held-out episodes: what is paid in training that is not paid there?",
    )

    evaluations: Annotated[int, AtLeastOne] = 12
    """Rows with both returns before the rule judges."""
    noise: Annotated[float, Positive] = 5.0
    """Standard errors that the fall must exceed; the rise in training must exceed three."""
    lost: Annotated[float, Fraction] = 0.3
    """Fraction of the gain that must be lost."""
    visible: Annotated[float, Fraction] = 0.1
    """Fraction of the best mean that must be lost."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when one return has risen since the other was best."""
        training, held_out = history.series("return_mean"), history.series(self.needs[0])
        rows = np.flatnonzero(np.isfinite(training) & np.isfinite(held_out))
        if rows.size < self.evaluations:
            return None
        size = max(4, min(10, rows.size // 5))
        held = held_out[rows]
        # All rows since the evaluation before: a single row would have more noise.
        trained = np.array([float(np.nanmean(training[a:b])) for a, b in pairwise((0, *rows + 1))])
        means = slide_mean(held, size)
        # The windows must not overlap, or the same rows would count on both sides.
        best = int(np.argmax(means[:-size]))
        fell = float(means[best] - means[-1])
        gained = float(means[best] - held[:size].mean())
        rose = float(trained[-size:].mean() - trained[best : best + size].mean())
        least = max(self.lost * gained, self.visible * abs(float(means[best])))
        if not (
            fell > max(self.noise * _estimate_swing(held[best:], size), least)
            and rose > 3 * _estimate_swing(trained[best:], size)
            and held[-max(size, rows.size // 4) :].mean() < means[best] - fell / 2
        ):
            return None
        since = history.iteration(int(rows[best + size - 1]))
        return self.report(
            "warn",
            since,
            f"since iteration {since} the return in training has risen by {rose:.3g} while that on "
            f"held-out seeds or prompts fell from {means[best]:.3g} to {means[-1]:.3g}",
        )


def _estimate_swing(values: FloatArray, size: int) -> float:
    """Return the standard error of the difference of two means of ``size`` neighbours.

    By the larger of two estimates: the jumps between values, and those between means without a
    common value, which see what a policy wins and loses over some updates.
    """
    windows = np.lib.stride_tricks.sliding_window_view(values[::-1], size)[::size]
    of_means = estimate_score_sd(windows.mean(axis=1)) if len(windows) > 2 else 0.0
    return math.sqrt(2) * max(of_means, estimate_score_sd(values) / math.sqrt(size))


@dataclass(frozen=True)
class FellFromBest(Rule):
    """The mean of the last scores is below the best mean of as many neighbours.

    Judged once, when the budget is used up: until then a run may recover. The fall is measured
    against the noise of the two means, by the larger of two estimates: the scatter of the episodes
    of each score (where it is the mean return) and the jumps between scores. It must also be a part
    of what the run had gained. ``performance_collapse`` reports larger and lasting falls.

    A note and no warning: its best checkpoint is the result, and one in twenty healthy trainings of
    other libraries ends so.
    """

    symptom = "fell_from_best"
    title = "The run ended clearly below the best that it had reached"
    needs = (SCORE,)
    highest = "note"
    warm_up = "the whole budget and twice the window"
    causes = (
        "updates that are too large once the policy is good",
        "a value function or a normaliser that the better policy's states are new to",
        "luck: a policy at the edge of what it can do",
    )
    remedy = (
        "use the best checkpoint and not the last",
        lower("lr", 1e-4),
        use("lr_schedule", "let the learning rate fall: {}", value="linear"),
        lower("clip", 0.1, without=increase("beta", 0.1)),
        limit("kl_limit", 0.02, "stop the epochs of an iteration at {}"),
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
        rows = history.progress.settled_rows
        scores = history.progress.scores[rows]
        size = max(self.window, math.ceil(self.window_fraction * scores.size))
        if scores.size < 2 * size or PerformanceCollapse()(history) is not None:
            return None
        means, start = slide_mean(scores, size), float(scores[: self.window].mean())
        best, last = int(np.argmax(means)), float(means[-1])
        # The swing of means without a common score: what a policy wins and loses over some updates
        # is noise, too, and the jumps from score to score do not show it.
        swing = estimate_score_sd(means[::-size][::-1]) if means.size > size else 0.0
        error = _estimate_row_errors(history)[rows]
        errors = [max(swing, average_errors(error[i : i + size])) for i in (best, means.size - 1)]
        least = self.noise * math.hypot(*errors)
        gain, fall = float(means[best]) - start, float(means[best]) - last
        least = max(least, self.visible * abs(float(means[best])))
        if not (fall > least and gain > least and fall > self.loss * gain):
            return None
        sign = history.progress.sign
        at = history.iteration(int(rows[best + size - 1]))
        return self.report(
            "note",
            at,
            f"{history.score} ended at {sign * last:.4g}, worse than its best, "
            f"{sign * float(means[best]):.4g} at iteration {at} (means of {size} scores)",
        )


def _estimate_row_errors(history: History) -> FloatArray:
    """Return the standard error of the score of each row [R]."""
    progress = history.progress
    by_jumps = estimate_score_sd(progress.scores[progress.score_rows])
    if history.score != "return_mean":  # the scatter of no other metric is reported
        return np.full(len(history), by_jumps)
    of_episodes = history.series("return_std") / np.sqrt(np.maximum(progress.episodes_per_score, 1))
    return np.fmax(of_episodes, by_jumps)
