"""Asynchronous successive halving as in its paper: which trials wait at a rung, which continue.

Ray's ASHA stops a trial at its rung or promotes it, for good, by comparison with the few that were
there before: the first trials are promoted without comparison, and a good trial that comes second
is lost. In the paper (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning",
algorithm 2) a trial waits at its rung while its worker starts another one, and is promoted as soon
as it is among the best ``1 / reduction_factor`` of those seen there. No trial ends between rungs.

Two rules are added, because a job has a fixed number of trials and the paper's search never ends:
when no other trial can reach a rung, its best trial is promoted however few there are; and a trial
ends as soon as it is certain that too many are better.

A trial is ranked by the mean of its scores in the later half of its training so far: a single one
is noise to a good part, and the settings that are chosen by it are worse (docs/tuning.md).

No trial is ended by a difference of at most one standard error, nor for a tie: where it would end,
it waits as long as others may reach its rung, and is then promoted, too. Where the noise of a score
is not known, only ties are explained.

A trial without a score (no episode has finished yet, say) is undecided. It continues past its rung
and enters, with its first score, the highest rung that it has reached by then.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable

from tune_jobs.schedulers.rung import Rung
from tune_jobs.schedulers.verdict import Verdict


class Bracket:
    """The rungs of one bracket of trials, and the decisions that follow from scores.

    Args:
        levels: the iterations of the rungs.
        mode: ``min`` or ``max``.
        reduction_factor: eta; 1/eta of the trials at a rung are promoted.
        trials: all trials of the bracket; :meth:`remove_trial` takes out those that end.
        number: of the bracket; 0 where there is only one.
        pauses: whether a trial can wait at a rung and continue later; otherwise it is compared with
            those that came before it, and continues or ends at once.
    """

    def __init__(
        self,
        levels: Iterable[int],
        mode: str,
        reduction_factor: int,
        trials: Iterable[str],
        number: int = 0,
        *,
        pauses: bool = True,
    ) -> None:
        self.reduction_factor, self.pauses = reduction_factor, pauses
        self.levels = sorted(levels)
        self.rungs = [Rung(at, mode, number) for at in self.levels]
        # A trial is in one of these two, and in neither once it has ended or failed for good.
        self.next_rung_index = dict.fromkeys(trials, 0)
        """Next rung of each trial that runs or has not started; ``len(rungs)`` past the last."""
        self.waiting_rung_index: dict[str, int] = {}
        """Index of the rung of each trial that waits."""
        # Counts instead of lists of trials: they are read at every step of Tune, and a sweep may
        # have thousands of trials.
        self._num_heading_for_rung = [len(self.next_rung_index), *[0] * len(self.rungs)]
        """Running and future trials by next rung; the last entry counts those past all rungs."""

    def find_reached_rung(self, trial: str, iteration: int) -> int | None:
        """Return the index of the rung that a trial has reached since it entered one."""
        # Below the next rung there is nothing to decide, and a trial that waits or has ended has no
        # next rung.
        next_index, reached = self.next_rung_index.get(trial), bisect_right(self.levels, iteration)
        return None if next_index is None or reached <= next_index else reached - 1

    def enter_rung(
        self,
        trial: str,
        iteration: int,
        score: float | None,
        error: float | None = None,
        stage: float = 0.0,
    ) -> Verdict | None:
        """Enter a trial at the rung it has reached: the trial waits there, or it ends.

        Without a score the trial enters no rung, and there is no decision, as where it has reached
        none. A score that is not finite cannot be compared and ends the trial.
        """
        index = self.find_reached_rung(trial, iteration)
        if index is None:
            return None
        # It heads for its former rung no more: from here it waits, heads for another, or has ended.
        self.remove_trial(trial)
        if score is None:
            # It still heads for this rung; trials that wait at those it passed need not expect it.
            self.head_for(trial, index)
            return None
        # A trial that was undecided may have passed several rungs: it enters only the highest, as
        # its score is one of that training length and would flatter it at a lower rung.
        rung = self.rungs[index]
        rung.enter(trial, iteration, score, error, stage)
        if not math.isfinite(score):
            return rung.judge("stop", trial, 0)
        if not self.pauses:
            return self._decide_at_once(trial, index)
        # Every trial waits first, also the best: `find_promotable` is asked next, so that
        # promotions have one place, whether they follow from a result or from an end elsewhere.
        self.waiting_rung_index[trial] = index
        return rung.judge("pause", trial, self._count_promotable(index))

    def _decide_at_once(self, trial: str, index: int) -> Verdict:
        """Promote a trial that is among the best of those seen at its rung, or end it.

        This is the stopping variant of ASHA (Ray Tune's): nothing is ever resumed, and the first
        trials at a rung continue without comparison.
        """
        rung = self.rungs[index]
        rung.remove_waiting(trial)
        # Rounded up: rounded down, the first trials at a rung would all end.
        allowed = math.ceil(len(rung.entries) / self.reduction_factor)
        if rung.rank(trial) > allowed and not rung.is_explained(trial, allowed):
            return rung.judge("stop", trial, allowed)
        self.head_for(trial, index + 1)
        return rung.judge("promote", trial, allowed)

    def remove_trial(self, trial: str) -> None:
        """Take out a trial that ended or failed for good: it reaches no further rung."""
        if trial in self.next_rung_index:
            self._num_heading_for_rung[self.next_rung_index.pop(trial)] -= 1
        elif trial in self.waiting_rung_index:
            self.rungs[self.waiting_rung_index.pop(trial)].remove_waiting(trial)

    def find_promotable(self) -> str | None:
        """Return the waiting trial to promote, from the highest rung that has one."""
        # The highest rung first, as in the paper: a trial close to its end yields a result sooner.
        # Waiting trials are sorted, so of those among the best only the first needs a look.
        for index in reversed(range(len(self.rungs))):
            if not (rung := self.rungs[index]).waiting:
                continue
            allowed = self._count_promotable(index)
            if rung.rank(rung.waiting[0].trial) <= allowed:
                return rung.waiting[0].trial
            if self._count_expected()[index]:
                continue  # one that comes later may still raise the cut beyond the noise
            explained = (e.trial for e in rung.waiting if rung.is_explained(e.trial, allowed))
            if (trial := next(explained, None)) is not None:
                return trial
        return None

    def promote(self, trial: str) -> Verdict:
        """Promote a waiting trial to the next rung, or past the last one."""
        index = self.waiting_rung_index[trial]
        # max: when a log is replayed, a trial that had failed is expected again, so that fewer may
        # count as promotable than at the time of the decision.
        allowed = max(1, self._count_promotable(index))
        self.remove_trial(trial)
        self.head_for(trial, index + 1)
        return self.rungs[index].judge("promote", trial, allowed)

    def end_hopeless(self) -> list[Verdict]:
        """End the waiting trials that cannot be promoted, whatever the other trials still score.

        Those stay whose difference to the cut is noise: the cut can still rise.
        """
        ends: list[Verdict] = []
        for index, rung in [(i, rung) for i, rung in enumerate(self.rungs) if rung.waiting]:
            # The rung can see at most this many trials, so at most `allowed` are ever promoted: a
            # trial ranked below that now can only fall further. Counted anew at each rung: an end
            # at a rung below lowers what this one can expect.
            expected = self._count_expected()[index]
            allowed = max(1, (len(rung.entries) + expected) // self.reduction_factor)
            for trial in rung.list_outside(allowed):
                if not rung.is_explained(trial, allowed):
                    self.remove_trial(trial)
                    ends.append(rung.judge("stop", trial, allowed, expected))
        return ends

    def reopen(self, trial: str, index: int) -> None:
        """Let a trial wait again at the rung where it had ended."""
        self.waiting_rung_index[trial] = index
        self.rungs[index].wait(trial)

    def explain_reopened(self, trial: str) -> Verdict:
        """Return why a reopened trial waits."""
        index = self.waiting_rung_index[trial]
        expected = self._count_expected()[index]
        return self.rungs[index].judge("reopen", trial, self._count_promotable(index), expected)

    def head_for(self, trial: str, index: int) -> None:
        """Set the next rung of a trial that has left its former one."""
        self.next_rung_index[trial] = index
        self._num_heading_for_rung[index] += 1

    def _count_promotable(self, rung_index: int) -> int:
        """Return how many of the trials seen at a rung may be promoted."""
        # Without this exception the last trials of a job would wait for ever: with fewer than
        # `reduction_factor` trials at a rung the paper's rule promotes none.
        allowed = len(self.rungs[rung_index].entries) // self.reduction_factor
        return allowed if self._count_expected()[rung_index] else max(1, allowed)

    def _count_expected(self) -> list[int]:
        """Return how many more trials can reach each rung at most."""
        # From the lowest rung upwards: what a rung can still send up limits the next one. The bound
        # must never be too low (a trial would end that could have been promoted); too high a bound
        # only delays an end.
        expected: list[int] = []
        come = 0
        for rung, heading in zip(self.rungs, self._num_heading_for_rung[:-1], strict=True):
            # Those on their way to this rung, and those that the rung below may still promote.
            come += heading
            expected.append(come)
            come += len(rung.waiting)
            # Without noise a rung promotes at most the best 1/eta of all it can ever see. Those
            # it has promoted already count among these: a bound that is too high is safe.
            if not rung.has_noise:  # else any of them may be promoted
                come = min(
                    max(1, (len(rung.entries) + expected[-1]) // self.reduction_factor), come
                )
        return expected
