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
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rungwise.run_log.events import DecisionRow, EndRow, JobRow, ResultRow, Row
from rungwise.run_log.score_noise import NoiseSource, TrialCurve
from rungwise.run_log.trial_outcome import CONTINUED
from rungwise.run_log.trial_state import is_reopened
from tune_jobs.schedulers.rung import Rung, describe_best

UNKNOWN_NOISE = NoiseSource()
NO_METRICS: Mapping[str, Any] = {}


class Bracket:
    """The rungs of one bracket of trials, and the decisions that follow from scores.

    Args:
        levels: the iterations of the rungs.
        mode: ``min`` or ``max``.
        reduction_factor: eta; 1/eta of the trials at a rung are promoted.
        trials: all trials of the bracket; :meth:`remove_trial` takes out those that end.
        name: prefix of the decisions' sentences; empty where there is only one bracket.
        pauses: whether a trial can wait at a rung and continue later; otherwise it is compared with
            those that came before it, and continues or ends at once.
        noise: where the noise of the scores is read from.
    """

    def __init__(
        self,
        levels: Iterable[int],
        mode: str,
        reduction_factor: int,
        trials: Iterable[str],
        name: str = "",
        *,
        pauses: bool = True,
        noise: NoiseSource = UNKNOWN_NOISE,
    ) -> None:
        self.mode, self.reduction_factor, self.name = mode, reduction_factor, name
        self.pauses, self._noise = pauses, noise
        self.levels = sorted(levels)
        self.rungs = [Rung(at, mode) for at in self.levels]
        self.next_rung_index = dict.fromkeys(trials, 0)
        """Index of the next rung of each trial that runs or has not started."""
        self.waiting_rung_index: dict[str, int] = {}
        """Index of the rung of each trial that waits."""
        self._curves: defaultdict[str, TrialCurve] = defaultdict(TrialCurve)
        """By trial."""
        self._job: JobRow | None = None
        """The start of the latest session."""
        self._ends: dict[str, EndRow] = {}
        """By trial, of those that ended for good."""
        self._reopened: dict[str, int] = {}
        """Index of the rung of each trial that waits there again and has no decision since."""
        self._entered: dict[str, int] = {}
        """The iteration at which each trial entered its last rung."""
        # Counts instead of lists of trials: they are read at every step of Tune, and a sweep may
        # have thousands of trials.
        self._num_heading_for_rung = [len(self.next_rung_index), *[0] * len(self.rungs)]
        """Running and future trials by next rung; the last entry counts those past all rungs."""

    def restore_decisions(self, rows: Iterable[Row]) -> None:
        """Restore the decisions and the ends of an earlier session."""
        # The rows are replayed through the calls that made them, so that a resumed run has the
        # state of one that was never interrupted. Promotions are taken from the log and not decided
        # anew: they depend on which other trials were expected at the time.
        for row in rows:
            if isinstance(row, DecisionRow):
                # The decision of a diverged trial; an undecided trial has no decision.
                score = math.nan if row.score is None else row.score
                self._reopened.pop(row.trial, None)
                self._enter_rung(row.trial, row.iteration, score, row.standard_error)
                if not row.keep:
                    self.remove_trial(row.trial)
                    self._ends[row.trial] = row.make_end()
                elif not row.waits and row.rung == self._waits_at(row.trial):
                    self.promote(row.trial)
            elif isinstance(row, ResultRow):
                sample, stage = self._noise.read(row.metrics), self._noise.read_stage(row.metrics)
                self._curves[row.trial].add(row.iteration, row.score, sample, stage)
                if row.score is None and not row.metrics.get("nonfinite"):  # it has not diverged
                    self._enter_rung(row.trial, row.iteration, None)
            elif isinstance(row, EndRow) and row.reason not in CONTINUED:
                self.remove_trial(row.trial)
                self._ends[row.trial] = row
            elif isinstance(row, JobRow):
                self._begin_session(row)

    def _begin_session(self, job: JobRow) -> None:
        """Take up the trials again that a session with more trials or iterations continues."""
        before, self._job = self._job, job
        if before is None:
            return
        for trial, end in list(self._ends.items()):
            index = bisect_right(self.levels, end.iteration)
            rung = self.rungs[index - 1] if index else None
            score = rung.score(trial) if rung and trial in rung.keys else None
            if not is_reopened(end, score, before, job):
                continue
            del self._ends[trial]
            if end.reason == "budget":
                # A new rung may be where it had ended: it enters that with its next score.
                self._head_for(trial, bisect_left(self.levels, before.iterations))
            elif rung:
                rung.wait_again(trial)
                self.waiting_rung_index[trial] = self._reopened[trial] = index - 1

    def describe_reopened(self) -> list[DecisionRow]:
        """Return a decision for each trial that waits at a rung where it had ended before."""
        expected, rows = self._count_expected(), list[DecisionRow]()
        for trial, index in self._reopened.items():
            rung = self.rungs[index]
            rank, of = rung.rank(trial), len(rung.keys)
            sentence = f"{rung.score(trial):.4g} waits again: number {rank} of {of}, and trials "
            sentence += f"have joined, of which {expected[index]} may come"
            rows.append(self._make_decision(trial, rung, None, sentence, keep=True, waits=True))
        self._reopened.clear()
        return rows

    def report_score(
        self,
        trial: str,
        iteration: int,
        score: float | None,
        metrics: Mapping[str, Any] = NO_METRICS,
    ) -> DecisionRow | None:
        """Enter a trial's score at the rung it has reached: the trial waits there, or it ends.

        Without a score the trial enters no rung. A score that is not finite cannot be compared and
        ends the trial.

        Args:
            trial: the trial.
            iteration: after which it reports.
            score: of that iteration.
            metrics: of that iteration, which may say how noisy the score is.

        Returns:
            The decision; None where no rung was reached or entered.
        """
        curve, error = self._curves[trial], None
        curve.add(iteration, score, self._noise.read(metrics), self._noise.read_stage(metrics))
        reached = self._find_reached_rung(trial, iteration) is not None
        if reached and score is not None and math.isfinite(score):
            score, error = curve.average()
        return self._enter_rung(trial, iteration, score, error)

    def _enter_rung(
        self, trial: str, iteration: int, score: float | None, error: float | None = None
    ) -> DecisionRow | None:
        """Enter a trial at the rung it has reached, ranked by ``score``."""
        index = self._find_reached_rung(trial, iteration)
        if index is None:
            return None
        self.remove_trial(trial)
        if score is None:
            # It enters none of the rungs passed, so their waiting trials need not expect it.
            self._head_for(trial, index)
            return None
        # A trial that was undecided may have passed several rungs: it enters only the highest, as
        # its score is one of that training length and would flatter it at a lower rung.
        rung = self.rungs[index]
        rung.enter(trial, score, error, self._curves[trial].stage)
        self._entered[trial] = iteration
        if not math.isfinite(score):
            sentence = f"the score is {score}, which cannot be compared"
            return self._make_decision(trial, rung, None, sentence, keep=False)
        if not self.pauses:
            return self._decide_at_once(trial, rung, index)
        # Every trial waits first, also the best: the scheduler asks `find_promotable` next, so that
        # promotions have one place, whether they follow from a result or from an end elsewhere.
        self.waiting_rung_index[trial] = index
        rank, of, allowed = rung.rank(trial), len(rung.keys), self._count_promotable(index)
        sentence = f"{score:.4g} waits: number {rank} of {of}, "
        sentence += (
            f"and {describe_best(allowed)} may continue" if allowed else "too few to compare"
        )
        return self._make_decision(trial, rung, None, sentence, keep=True, waits=True)

    def _find_reached_rung(self, trial: str, iteration: int) -> int | None:
        """Return the index of the rung that a trial has reached since it entered one."""
        # Below the next rung there is nothing to decide, and a trial that waits or has ended has no
        # next rung.
        next_index, num_reached = (
            self.next_rung_index.get(trial),
            bisect_right(self.levels, iteration),
        )
        return None if next_index is None or num_reached <= next_index else num_reached - 1

    def _decide_at_once(self, trial: str, rung: Rung, index: int) -> DecisionRow:
        """Promote a trial that is among the best of those seen at its rung, or end it.

        This is the stopping variant of ASHA (Ray Tune's): nothing is ever resumed, and the first
        trials at a rung continue without comparison.
        """
        rung.remove_waiting(trial)
        of, rank = len(rung.keys), rung.rank(trial)
        allowed = math.ceil(of / self.reduction_factor)
        keep = rank <= allowed or rung.is_explained(trial, allowed)
        if keep:
            self._head_for(trial, index + 1)
        if rank <= allowed:
            sentence = f"mean {rung.score(trial):.4g} is among {describe_best(allowed)} of {of}"
        else:
            sentence = f"{rung.describe(trial, allowed, of)} so far"
            sentence += rung.describe_noise(trial, allowed)
        return self._make_decision(trial, rung, rung.cut(allowed), sentence, keep=keep)

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
            if rung.rank(rung.waiting[0][1]) <= allowed:
                return rung.waiting[0][1]
            if self._count_expected()[index]:
                continue  # one that comes later may still raise the cut beyond the noise
            explained = (t for _, t in rung.waiting if rung.is_explained(t, allowed))
            if (trial := next(explained, None)) is not None:
                return trial
        return None

    def promote(self, trial: str) -> DecisionRow:
        """Promote a waiting trial to the next rung, or past the last one."""
        index = self.waiting_rung_index[trial]
        # max: when a log is replayed, a trial that had failed is expected again, so that fewer may
        # count as promotable than at the time of the decision.
        rung, allowed = self.rungs[index], max(1, self._count_promotable(index))
        self.remove_trial(trial)
        self._head_for(trial, index + 1)
        score, of = rung.score(trial), len(rung.keys)
        if rung.rank(trial) > allowed:
            sentence = rung.describe(trial, allowed, of) + rung.describe_noise(trial, allowed)
        elif of < self.reduction_factor:
            sentence = f"mean {score:.4g} is the best of {of}, and no other trial can come"
        else:
            sentence = f"mean {score:.4g} is among {describe_best(allowed)} of {of}"
        return self._make_decision(trial, rung, rung.cut(allowed), sentence, keep=True)

    def end_hopeless(self) -> list[DecisionRow]:
        """End the waiting trials that cannot be promoted, whatever the other trials still score.

        Those stay whose difference to the cut is noise: the cut can still rise.
        """
        ends: list[DecisionRow] = []
        for index, rung in [(i, rung) for i, rung in enumerate(self.rungs) if rung.waiting]:
            # The rung can see at most this many trials, so at most `allowed` are ever promoted: a
            # trial ranked below that now can only fall further. Counted anew at each rung: an end
            # at a rung below lowers what this one can expect.
            max_trials = len(rung.keys) + self._count_expected()[index]
            allowed = max(1, max_trials // self.reduction_factor)
            for trial in rung.list_outside(allowed):
                if rung.is_explained(trial, allowed):
                    continue
                self.remove_trial(trial)
                sentence = rung.describe(trial, allowed, max_trials)
                if (num_scored := len(rung.keys)) < max_trials:  # a later trial may raise the cut
                    sentence += f" when {num_scored} of them had a score there"
                sentence += rung.describe_noise(trial, allowed)
                ends.append(
                    self._make_decision(trial, rung, rung.cut(allowed), sentence, keep=False)
                )
        return ends

    def _head_for(self, trial: str, index: int) -> None:
        """Set the next rung of a trial that has left its former one."""
        self.next_rung_index[trial] = index
        self._num_heading_for_rung[index] += 1

    def _waits_at(self, trial: str) -> int | None:
        return (
            self.levels[self.waiting_rung_index[trial]]
            if trial in self.waiting_rung_index
            else None
        )

    def _count_promotable(self, rung_index: int) -> int:
        """Return how many of the trials seen at a rung may be promoted."""
        # Without this exception the last trials of a job would wait for ever: with fewer than
        # `reduction_factor` trials at a rung the paper's rule promotes none.
        allowed = len(self.rungs[rung_index].keys) // self.reduction_factor
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
            if not rung.has_noise:  # else any of them may be promoted
                come = min(max(1, (len(rung.keys) + expected[-1]) // self.reduction_factor), come)
        return expected

    def _make_decision(
        self,
        trial: str,
        rung: Rung,
        cut: float | None,
        sentence: str,
        keep: bool,
        waits: bool = False,
    ) -> DecisionRow:
        entered = self._entered[trial]
        late = f" (entered at iteration {entered})" if entered > rung.iteration else ""
        return DecisionRow(
            trial=trial,
            iteration=entered,
            rung=rung.iteration,
            score=rung.score(trial),
            standard_error=rung.error(trial),
            cut=cut,
            rank=rung.rank(trial),
            of=len(rung.keys),
            keep=keep,
            waits=waits,
            sentence=f"{self.name}rung {rung.iteration}{late}: {sentence}",
        )


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
) -> list[Bracket]:
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
    return [
        Bracket(
            levels[i:],
            mode,
            reduction_factor,
            part,
            f"bracket {i + 1}, " if number > 1 else "",
            pauses=pauses,
            noise=noise,
        )
        for i, part in enumerate(parts)
    ]
