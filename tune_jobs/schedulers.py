"""Successive halving that says why: every decision is recorded as a sentence.

Ray's ASHA compares with ``score < cut``, which is never true for NaN, forgets its rungs when a run
is resumed (ray#30838) and keeps its reasons to itself. Here the decision is a pure function, and
the rungs live in the run's event rows, where a resumed run finds them.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", in the variant that stops
trials where the paper pauses them.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_jobs.events import DecisionRow, Row


def decide(
    trial: str, rung: int, score: float, others: Sequence[float], mode: str, reduction_factor: int
) -> DecisionRow:
    """Whether a trial goes on from a rung.

    Args:
        trial: the trial's id.
        rung: the iteration of the rung.
        score: the trial's score there.
        others: the finite scores of the other trials that were there, the best first.
        mode: ``min`` or ``max``.
        reduction_factor: one of so many goes on.

    Returns:
        The decision: kept if the score is among the best ``1 / reduction_factor`` of all scores
        seen at this rung, rounded up: the paper rounds down, but there a trial that is not promoted
        yet waits, and here it ends for good. A score that is not finite loses.
    """
    sign = -1.0 if mode == "max" else 1.0
    of = len(others) + 1
    if not math.isfinite(score):
        said = f"rung {rung}: the score is {score}, which cannot be compared"
        return DecisionRow(
            trial=trial,
            iteration=rung,
            rung=rung,
            score=score,
            cut=None,
            rank=of,
            of=of,
            keep=False,
            sentence=said,
        )
    rank = 1 + bisect_left(others, sign * score, key=lambda s: sign * s)
    allowed = math.ceil(of / reduction_factor)
    keep = rank <= allowed
    cut = others[allowed - 1] if not keep else score if rank == allowed else others[allowed - 2]
    best = "the best" if allowed == 1 else f"the best {allowed}"
    if of == 1:
        said = f"rung {rung}: {score:.4g} is the first score here"
    elif keep:
        said = f"rung {rung}: {score:.4g} is among {best} of {of}"
    else:
        side = "below" if mode == "max" else "above"
        said = f"rung {rung}: {score:.4g} is {side} {cut:.4g}, the cut for {best} of {of}"
    return DecisionRow(
        trial=trial,
        iteration=rung,
        rung=rung,
        score=score,
        cut=cut,
        rank=rank,
        of=of,
        keep=keep,
        sentence=said,
    )


class Rungs:
    """The scores seen at each rung, and what follows from them for a trial that reports.

    Li et al. (2020) promote a trial only when it is among the best of at least ``reduction_factor``
    that have finished its rung. A trial that runs on without pausing must be let through before so
    many are there, so whoever came first would never be judged. Here it is let through on trial: as
    long as it has not reached the next rung, it is judged again by the scores that came after its
    own, and ends when it is no longer among the best.
    """

    def __init__(self, levels: Iterable[int], mode: str, reduction_factor: int) -> None:
        self.levels = sorted(levels)
        self.mode = mode
        self.reduction_factor = reduction_factor
        self.scores: dict[int, dict[str, float]] = {level: {} for level in self.levels}
        self._sign = -1.0 if mode == "max" else 1.0
        self._ordered: dict[int, list[float]] = {level: [] for level in self.levels}
        """The finite scores of each rung, the best first."""

    def recall(self, rows: Iterable[Row]) -> None:
        """Take over the decisions of an earlier session."""
        for row in rows:
            if isinstance(row, DecisionRow) and row.score is not None:
                self._enter(row.rung, row.trial, row.score)

    def decide(self, trial: str, iteration: int, score: float) -> DecisionRow | None:
        """The decision due at this iteration, if there is one."""
        reached = self.levels[: bisect_right(self.levels, iteration)]
        if not reached:
            return None
        rung = reached[-1]
        if trial in self.scores[rung]:
            return self._again(trial, rung, iteration)
        others = self._ordered[rung]
        decision = decide(trial, rung, score, others, self.mode, self.reduction_factor)
        for passed in reached:
            self._enter(passed, trial, score)
        return replace(decision, iteration=iteration)

    def _again(self, trial: str, rung: int, iteration: int) -> DecisionRow | None:
        """The end of a trial that others have overtaken at the rung it came from."""
        score, ordered = self.scores[rung][trial], self._ordered[rung]
        if len(ordered) < self.reduction_factor or not math.isfinite(score):
            return None
        place = bisect_left(ordered, self._sign * score, key=lambda s: self._sign * s)
        if place < math.ceil(len(ordered) / self.reduction_factor):
            return None
        others = ordered[:place] + ordered[place + 1 :]
        decision = decide(trial, rung, score, others, self.mode, self.reduction_factor)
        said = f"let through early, then overtaken at {decision.sentence}"
        return replace(decision, iteration=iteration, sentence=said)

    def _enter(self, rung: int, trial: str, score: float) -> None:
        at = self.scores.setdefault(rung, {})
        if trial not in at:
            at[trial] = score
            if math.isfinite(score):
                ordered = self._ordered.setdefault(rung, [])
                insort(ordered, score, key=lambda s: self._sign * s)


class RecordedASHA(FIFOScheduler):
    """Asks :class:`Rungs` about every result; leaves the decisions for the recorder to write."""

    def __init__(self, rungs: Rungs) -> None:
        super().__init__()
        self.rungs = rungs
        self.decisions: dict[str, DecisionRow] = {}
        """The latest decision about each trial that was not yet written."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop a trial that is not good enough at a rung."""
        decision = self.rungs.decide(result["trial"], result["iteration"], result["score"])
        if decision is None:
            return TrialScheduler.CONTINUE
        self.decisions[result["trial"]] = decision
        return TrialScheduler.CONTINUE if decision.keep else TrialScheduler.STOP
