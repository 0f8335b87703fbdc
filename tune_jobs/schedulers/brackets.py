"""The brackets of a sweep: fed with the results of its trials, and restored from its log."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rungwise.run_log.events import DecisionRow, EndRow, JobRow, ResultRow, Row, TrialEvent
from rungwise.run_log.score_noise import NoiseSource, TrialCurve
from rungwise.run_log.trial_outcome import CONTINUED
from rungwise.run_log.trial_state import is_reopened
from tune_jobs.schedulers.successive_halving import Bracket
from tune_jobs.schedulers.verdict import Verdict

UNKNOWN_NOISE = NoiseSource()


class Brackets:
    """The brackets of a sweep and the curves of its trials, by whose later half they are ranked.

    Args:
        brackets: each with its trials.
        noise: where the noise of the scores is read from.
    """

    def __init__(self, brackets: Sequence[Bracket], noise: NoiseSource = UNKNOWN_NOISE) -> None:
        self._brackets, self._noise = brackets, noise
        # Taken now: a bracket forgets a trial that has ended, and later rows may still name it.
        self.by_trial = {trial: b for b in brackets for trial in b.next_rung_index}
        self._curves: defaultdict[str, TrialCurve] = defaultdict(TrialCurve)
        """Scores of each trial so far."""
        self._ends: dict[str, EndRow] = {}
        """End of each trial that ended for good in an earlier session."""
        self._reopened: set[str] = set()
        """Trials that wait again where they had ended, without a decision since."""

    def __iter__(self) -> Iterator[Bracket]:
        return iter(self._brackets)

    def report(
        self, trial: str, iteration: int, score: float | None, metrics: Mapping[str, Any]
    ) -> Verdict | None:
        """Take a result, whose metrics may say how noisy its score is; return the decision.

        None where the trial has reached or entered no rung.
        """
        bracket, error = self.by_trial[trial], None
        curve = self._curves[trial]
        curve.add(iteration, score, metrics, self._noise)
        if bracket.find_reached_rung(trial, iteration) is None:
            return None
        if score is not None and math.isfinite(score):
            score, error = curve.average()
        verdict = bracket.enter_rung(trial, iteration, score, error, curve.stage)
        return bracket.promote(trial) if bracket.find_promotable() == trial else verdict

    def restore(self, rows: Iterable[Row]) -> list[Verdict]:
        """Restore earlier sessions; return why trials that had ended wait again."""
        job: JobRow | None = None
        for row in rows:
            if isinstance(row, JobRow):
                if job:
                    self._begin_session(job, row)
                job = row
            elif isinstance(row, TrialEvent) and row.trial in self.by_trial:
                self._replay(row, self.by_trial[row.trial])
        waiting = ((bracket, t) for bracket in self for t in bracket.waiting_rung_index)
        return [bracket.explain_reopened(t) for bracket, t in waiting if t in self._reopened]

    def _replay(self, row: TrialEvent, bracket: Bracket) -> None:
        """Repeat what followed from a row of a trial."""
        # Through the calls that made the row, so that a resumed run has the state of one that was
        # never interrupted. Promotions are taken from the log and not decided anew: they depend on
        # which other trials were expected at the time.
        trial = row.trial
        if isinstance(row, DecisionRow):
            # The decision of a diverged trial; an undecided trial has no decision.
            score = math.nan if row.score is None else row.score
            self._reopened.discard(trial)
            stage = self._curves[trial].stage
            bracket.enter_rung(trial, row.iteration, score, row.standard_error, stage)
            index = bracket.waiting_rung_index.get(trial)
            if not row.keep:
                self._ends[trial] = row.make_end()
                bracket.remove_trial(trial)
            elif not row.waits and index is not None and row.rung == bracket.levels[index]:
                bracket.promote(trial)
        elif isinstance(row, ResultRow):
            self._curves[trial].add(row.iteration, row.score, row.metrics, self._noise)
            if row.score is None and not row.metrics.get("nonfinite"):  # it has not diverged
                bracket.enter_rung(trial, row.iteration, None)
        elif isinstance(row, EndRow) and row.reason not in CONTINUED:
            self._ends[trial] = row
            bracket.remove_trial(trial)

    def _begin_session(self, before: JobRow, job: JobRow) -> None:
        """Take up the trials again that a session with more trials or iterations continues."""
        for trial, end in list(self._ends.items()):
            bracket = self.by_trial[trial]
            index = bisect_right(bracket.levels, end.iteration) - 1
            entry = bracket.rungs[index].entries.get(trial) if index >= 0 else None
            if not is_reopened(end, entry and entry.score, before, job):
                continue
            del self._ends[trial]
            if end.reason == "budget":
                # A new rung may be where it had ended: it enters that with its next score.
                bracket.head_for(trial, bisect_left(bracket.levels, before.iterations))
            else:
                bracket.reopen(trial, index)
                self._reopened.add(trial)


def make_brackets(
    trials: Sequence[str],
    levels: Sequence[int],
    mode: str,
    reduction_factor: int,
    number: int,
    *,
    pauses: bool = True,
    noise: NoiseSource = UNKNOWN_NOISE,
    num_rungs_before: int = 0,
) -> Brackets:
    """Distribute trials over brackets; each leaves out one more of the lowest rungs.

    This is Hyperband's hedge against early scores that predict late ones badly (Li et al. 2018): a
    bracket with a later first rung tries fewer settings. The shares are those of the paper,
    ``reduction_factor ** s / (s + 1)`` for a bracket of ``s`` rungs: all brackets cost about the
    same. ``num_rungs_before`` are those that an extended run began with: trials stay in theirs.
    """
    most = num_rungs_before or len(levels)
    weights = [reduction_factor**n / (n + 1) for n in range(most, most - number, -1)]
    parts: list[list[str]] = [[] for _ in weights]
    # In turn into the bracket that lacks most of its share: trials that join later move no other.
    for count, trial in enumerate(trials, 1):
        lacking = [w / sum(weights) * count - len(p) for w, p in zip(weights, parts, strict=True)]
        parts[lacking.index(max(lacking))].append(trial)
    brackets = [
        Bracket(levels[i:], mode, reduction_factor, part, i + 1 if number > 1 else 0, pauses=pauses)
        for i, part in enumerate(parts)
    ]
    return Brackets(brackets, noise)
