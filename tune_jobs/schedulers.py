"""Successive halving that says why: every decision is recorded as a sentence.

Ray's ASHA compares with ``score < cut``, which is never true for NaN, forgets its rungs when a run
is resumed (ray#30838) and keeps its reasons to itself. Here the decision is a pure function, and
the rungs live in the run's event rows, where a resumed run finds them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_jobs.events import DecisionRow, Row


def decide(
    trial: str, rung: int, score: float, others: Iterable[float], mode: str, reduction_factor: int
) -> DecisionRow:
    """Whether a trial goes on from a rung (Li et al. 2020, the variant that stops, not pauses).

    Args:
        trial: the trial's id.
        rung: the iteration of the rung.
        score: the trial's score there.
        others: the scores of the trials that were there before it.
        mode: ``min`` or ``max``.
        reduction_factor: one of so many goes on.

    Returns:
        The decision: kept if the score is among the best ``1 / reduction_factor`` of all scores
        seen at this rung, at least one of which is always kept. A score that is not finite loses.
    """
    sign = -1.0 if mode == "max" else 1.0
    seen = sorted([s for s in others if math.isfinite(s)], key=lambda s: sign * s)
    of = len(seen) + 1
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
    rank = 1 + sum(sign * s < sign * score for s in seen)
    allowed = max(1, of // reduction_factor)
    cut = sorted([*seen, score], key=lambda s: sign * s)[allowed - 1]
    keep = rank <= allowed
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


@dataclass
class Rungs:
    """The scores seen at each rung."""

    levels: list[int]
    mode: str
    reduction_factor: int
    scores: dict[int, dict[str, float]] = field(default_factory=dict[int, dict[str, float]])

    def recall(self, rows: Iterable[Row]) -> None:
        """Take over the decisions of an earlier session."""
        for row in rows:
            if isinstance(row, DecisionRow) and row.score is not None:
                self.scores.setdefault(row.rung, {})[row.trial] = row.score

    def decide(self, trial: str, iteration: int, score: float) -> DecisionRow | None:
        """The decision due at this iteration, if there is one."""
        due = [r for r in self.levels if r <= iteration and trial not in self.scores.get(r, {})]
        if not due:
            return None
        at = self.scores.setdefault(due[-1], {})
        decision = decide(trial, due[-1], score, at.values(), self.mode, self.reduction_factor)
        for rung in due:
            self.scores.setdefault(rung, {})[trial] = score
        return decision


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
