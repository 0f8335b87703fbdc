"""Asynchronous successive halving (ASHA) as a scheduler of Ray Tune, with recorded decisions.

:mod:`tune_jobs.schedulers.successive_halving` makes the decisions. Here a waiting trial is paused,
which frees its worker, and continues from its checkpoint. Ray's own ASHA compares with
``score < cut``, which is never true for NaN; it forgets its rungs when a run is resumed (ray#30838)
and gives no reasons. Here the event log holds the decisions, and a resumed run restores them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from rungwise.run_log.events import DecisionRow, JobRow, Row
from rungwise.run_log.json_types import parse_metrics
from tune_jobs.schedulers.successive_halving import Bracket

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


class RecordedASHA(FIFOScheduler):
    """Applies the decisions of each :class:`Bracket`; the recorder writes them to the event log.

    Args:
        brackets: of brackets that do not pause where trials are observed.
        observes: whether trials go on whatever is decided.
    """

    def __init__(self, brackets: Sequence[Bracket], *, observes: bool = False) -> None:
        super().__init__()
        self.brackets, self.observes = brackets, observes
        self.decisions: list[DecisionRow] = []
        """Decisions that are not written yet, in order."""
        # Taken now: a bracket forgets a trial that has ended, and later rows may still name it.
        self._bracket_by_trial = {
            trial: rungs for rungs in brackets for trial in rungs.next_rung_index
        }
        self._tune_trials: dict[str, Trial] = {}
        """Tune's trials by id, without those that wait since an earlier session."""
        self._next: Trial | None = None
        self._trials_to_stop: list[str] = []

    def restore_decisions(self, rows: Iterable[Row]) -> None:
        """Restore the decisions of earlier sessions."""
        for row in rows:
            if isinstance(row, JobRow):
                for rungs in self.brackets:
                    rungs.restore_decisions([row])
            elif rungs := self._bracket_by_trial.get(getattr(row, "trial", "")):
                rungs.restore_decisions([row])
        for rungs in self.brackets:
            self.decisions += rungs.describe_reopened()

    def take_rows(self, result: Mapping[str, Any] | None = None) -> list[Row]:
        """Return the decisions since the last call, and the ends that follow from them."""
        rows: list[Row] = []
        for decision in self.decisions:
            rows.append(decision)
            if not decision.keep:
                rows.append(decision.make_observed_end() if self.observes else decision.make_end())
        self.decisions.clear()
        return rows

    def is_waiting(self, trial: str) -> bool:
        """Return whether a trial waits at a rung."""
        return (
            trial in self._bracket_by_trial
            and trial in self._bracket_by_trial[trial].waiting_rung_index
        )

    def withdraw(self, trial: str) -> None:
        """End a waiting trial on request."""
        # Tune can stop a trial only between its steps: `choose_trial_to_run` does it.
        self._bracket_by_trial[trial].remove_trial(trial)
        if trial in self._tune_trials:
            self._trials_to_stop.append(trial)

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Register a trial, new or restarted."""
        self._tune_trials[_get_id(trial)] = trial

    def on_trial_result(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Return whether a trial continues, waits at its rung, or ends."""
        name, at = result["trial"], result["iteration"]
        rungs = self._bracket_by_trial.get(name)
        if rungs is None:  # it repeats another trial, and no rung decides on it
            return TrialScheduler.CONTINUE
        # It was ended while it waited, and reports again where its process had died before the
        # checkpoint of the pause was written.
        if name in self._trials_to_stop:
            return TrialScheduler.STOP
        if name in rungs.waiting_rung_index:
            # Its process died before the checkpoint of the pause was written, so it repeats the
            # iterations up to its rung; its score there is decided already.
            back = at >= rungs.levels[rungs.waiting_rung_index[name]]
            return TrialScheduler.PAUSE if back else TrialScheduler.CONTINUE
        # In this order: the new score may promote this trial at once, and may make it certain that
        # others which wait cannot be promoted any more.
        decision = rungs.report_score(name, at, result["score"], parse_metrics(result["metrics"]))
        if decision is None:
            return TrialScheduler.CONTINUE
        if rungs.find_promotable() == name:
            decision = rungs.promote(name)
        ends = {row.trial: row for row in rungs.end_hopeless()}
        # One row a trial: if it cannot be promoted, its end replaces the decision to wait.
        decision = ends.pop(name, decision)
        self.decisions.append(decision)
        self._end(ends.values())
        if self.observes:
            return TrialScheduler.CONTINUE
        if decision.waits:
            return TrialScheduler.PAUSE
        return TrialScheduler.CONTINUE if decision.keep else TrialScheduler.STOP

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Stop expecting a trial that ended while it ran."""
        self._stop_expecting(_get_id(trial))

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Stop expecting a trial that failed for good."""
        # A trial that Tune restarts will still reach its rung: others must continue to wait for it.
        if not trial.should_recover():
            self._stop_expecting(_get_id(trial))

    def _stop_expecting(self, name: str) -> None:
        if rungs := self._bracket_by_trial.get(name):
            rungs.remove_trial(name)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Return the paused trial to continue; None lets Tune start the next new trial.

        Tune calls this at every step, so waiting trials that cannot be promoted end here, too.
        """
        self._end_hopeless()
        # A trial whose checkpoint is being written cannot be stopped yet: it stays in the list.
        for name in self._trials_to_stop:
            trial = self._tune_trials[name]
            if trial.status in (Trial.PAUSED, Trial.PENDING):
                tune_controller.stop_trial(trial)
        self._trials_to_stop = [
            n for n in self._trials_to_stop if not self._tune_trials[n].is_finished()
        ]
        # Tune may ask several times before the trial runs: a promotion is decided only once.
        if self._next is None or self._next.status not in (Trial.PAUSED, Trial.PENDING):
            self._next = None
            for rungs in self.brackets:
                name = rungs.find_promotable()
                # While its checkpoint is being written, a trial is not paused yet.
                if name in self._tune_trials and self._tune_trials[name].status == Trial.PAUSED:
                    self.decisions.append(rungs.promote(name))
                    self._next = self._tune_trials[name]
                    break
        return self._next

    def promote_from_earlier_session(self) -> str | None:
        """Promote a trial that waits since an earlier session; None where there is none."""
        # Tune has no trial object for these, so they cannot be unpaused: the queue starts each anew
        # from its checkpoint.
        self._end_hopeless()
        for rungs in self.brackets:
            name = rungs.find_promotable()
            if name is not None and name not in self._tune_trials:
                self.decisions.append(rungs.promote(name))
                return name
        return None

    @property
    def done(self) -> bool:
        """Whether no trial of a bracket runs, waits or is still to start."""
        return not any(rungs.next_rung_index or rungs.waiting_rung_index for rungs in self.brackets)

    def _end_hopeless(self) -> None:
        """End the waiting trials that cannot be promoted any more."""
        for rungs in self.brackets:
            self._end(rungs.end_hopeless())

    def _end(self, decisions: Iterable[DecisionRow]) -> None:
        """Record these ends; Tune does not have the trials that wait since an earlier session."""
        for decision in decisions:
            self.decisions.append(decision)
            if decision.trial in self._tune_trials:
                self._trials_to_stop.append(decision.trial)


def _get_id(trial: Trial) -> str:
    return trial.config["plan"]["trial"]
