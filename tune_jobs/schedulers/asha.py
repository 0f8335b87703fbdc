"""Successive halving under Tune, with every decision in a sentence.

The decisions are those of :mod:`tune_jobs.schedulers.successive_halving`; here a trial that waits
is paused, so that its worker is free, and goes on from its checkpoint. Ray's ASHA compares with
``score < cut``, which is never true for NaN, forgets its rungs when a run is resumed (ray#30838)
and keeps its reasons to itself. Here the rungs are in the run's event rows, where a resumed run
finds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_jobs.run_log.events import DecisionRow, Row
from tune_jobs.schedulers.successive_halving import Bracket


class RecordedASHA(FIFOScheduler):
    """Asks :class:`Bracket` about every result; leaves the decisions for the recorder to write."""

    def __init__(self, brackets: Sequence[Bracket]) -> None:
        super().__init__()
        self.brackets = brackets
        self.decisions: list[DecisionRow] = []
        """Those that were not yet written, in their order."""
        self._bracket_by_trial = {
            trial: rungs for rungs in brackets for trial in rungs.next_rung_index
        }
        self._tune_trials: dict[str, Any] = {}
        """Tune's trials by our names; those that still wait from the last session are not there."""
        self._next: Any = None
        self._trials_to_stop: list[str] = []

    def restore_decisions(self, rows: Iterable[Row]) -> None:
        """Take over what earlier sessions decided."""
        for row in rows:
            if rungs := self._bracket_by_trial.get(getattr(row, "trial", "")):
                rungs.restore_decisions([row])

    def is_waiting(self, trial: str) -> bool:
        """Whether a trial waits at a rung and may not run now."""
        return (
            trial in self._bracket_by_trial
            and trial in self._bracket_by_trial[trial].waiting_rung_index
        )

    def withdraw(self, trial: str) -> None:
        """End a trial that waits, because somebody wants it to stop."""
        self._bracket_by_trial[trial].remove_trial(trial)
        if trial in self._tune_trials:
            self._trials_to_stop.append(trial)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Learn to know a trial, new or to be started again."""
        self._tune_trials[_name(trial)] = trial

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Let a trial go on, wait at its rung, or end."""
        name, at = result["trial"], result["iteration"]
        rungs = self._bracket_by_trial[name]
        if name in self._trials_to_stop:
            return TrialScheduler.STOP
        if name in rungs.waiting_rung_index:
            # Its process died before the checkpoint was written, and ran up to its rung again.
            back = at >= rungs.levels[rungs.waiting_rung_index[name]]
            return TrialScheduler.PAUSE if back else TrialScheduler.CONTINUE
        decision = rungs.report_score(name, at, result["score"])
        if decision is None:
            return TrialScheduler.CONTINUE
        if rungs.find_promotable() == name:
            decision = rungs.promote(name)
        ends = {row.trial: row for row in rungs.end_hopeless()}
        decision = ends.pop(name, decision)
        self.decisions.append(decision)
        self._end(ends.values())
        if decision.waits:
            return TrialScheduler.PAUSE
        return TrialScheduler.CONTINUE if decision.keep else TrialScheduler.STOP

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A trial ended while it ran: the others need not wait for it."""
        self._bracket_by_trial[_name(trial)].remove_trial(_name(trial))

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """A trial failed; if it is not to be started again, the others need not wait for it."""
        if not trial.should_recover():
            self._bracket_by_trial[_name(trial)].remove_trial(_name(trial))

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The paused trial that goes on, if there is one; those not begun follow by turns.

        Tune asks at every step, so here those end, too, that wait in vain.
        """
        self._settle()
        for name in self._trials_to_stop:
            trial = self._tune_trials[name]
            if trial.status in (TuneTrial.PAUSED, TuneTrial.PENDING):
                tune_controller.stop_trial(trial)
        self._trials_to_stop = [
            n for n in self._trials_to_stop if not self._tune_trials[n].is_finished()
        ]
        # Asked again, the answer is the same until the trial runs.
        if self._next is None or self._next.status not in (TuneTrial.PAUSED, TuneTrial.PENDING):
            self._next = None
            for rungs in self.brackets:
                name = rungs.find_promotable()
                # While its checkpoint is being written, a trial is not paused yet.
                if name in self._tune_trials and self._tune_trials[name].status == TuneTrial.PAUSED:
                    self.decisions.append(rungs.promote(name))
                    self._next = self._tune_trials[name]
                    break
        return self._next

    def promote_from_earlier_session(self) -> str | None:
        """A trial that has waited since an earlier session, if one may go on now."""
        self._settle()
        for rungs in self.brackets:
            name = rungs.find_promotable()
            if name is not None and name not in self._tune_trials:
                self.decisions.append(rungs.promote(name))
                return name
        return None

    @property
    def done(self) -> bool:
        """Whether no trial runs, waits or is still to come."""
        return not any(rungs.next_rung_index or rungs.waiting_rung_index for rungs in self.brackets)

    def _settle(self) -> None:
        """End the trials that wait in vain."""
        for rungs in self.brackets:
            self._end(rungs.end_hopeless())

    def _end(self, decisions: Iterable[DecisionRow]) -> None:
        """Note these ends; Tune knows nothing of trials that wait since an earlier session."""
        for decision in decisions:
            self.decisions.append(decision)
            if decision.trial in self._tune_trials:
                self._trials_to_stop.append(decision.trial)


def _name(trial: Any) -> str:
    return trial.config["plan"]["trial"]
