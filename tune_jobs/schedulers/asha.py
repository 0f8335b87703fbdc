"""Asynchronous successive halving (ASHA) as a scheduler of Ray Tune, with recorded decisions.

:mod:`tune_jobs.schedulers.successive_halving` makes the decisions. Here a waiting trial is paused,
which frees its worker, and continues from its checkpoint. Ray's own ASHA compares with
``score < cut``, which is never true for NaN; it forgets its rungs when a run is resumed (ray#30838)
and gives no reasons. Here the event log holds the decisions, and a resumed run restores them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from rungwise.run_log.events import DecisionRow, ObservedEndRow, Row
from rungwise.run_log.json_types import parse_metrics
from tune_jobs.schedulers.brackets import Brackets
from tune_jobs.schedulers.sentences import describe_verdict
from tune_jobs.schedulers.verdict import Verdict

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


class RecordedASHA(FIFOScheduler):
    """Applies the decisions of the brackets; the recorder writes them to the event log.

    Args:
        brackets: which do not pause where trials are observed.
        observes: whether trials go on whatever is decided.
    """

    def __init__(self, brackets: Brackets, *, observes: bool = False) -> None:
        super().__init__()
        self.brackets, self.observes = brackets, observes
        self.verdicts: list[Verdict] = []
        """Decisions that are not written yet, in order."""
        self._tune_trials: dict[str, Trial] = {}
        """Tune's trials by id, without those that wait since an earlier session."""
        self._next: Trial | None = None
        self._trials_to_stop: list[str] = []

    def restore_decisions(self, rows: Iterable[Row]) -> None:
        """Restore the decisions of earlier sessions."""
        self.verdicts += self.brackets.restore(rows)

    def take_rows(self, result: Mapping[str, Any] | None = None) -> list[Row]:
        """Return the decisions since the last call, and the ends that follow from them."""
        rows: list[Row] = []
        for row in map(make_decision, self.verdicts):
            rows.append(row)
            if not row.keep:
                end = row.make_end()
                if self.observes:  # it "would have been ended: at iteration 5: ..."
                    at, why = end.iteration, end.sentence.removeprefix("stopped ")
                    end = ObservedEndRow(trial=end.trial, iteration=at, reason="asha", sentence=why)
                rows.append(end)
        self.verdicts.clear()
        return rows

    def is_waiting(self, trial: str) -> bool:
        """Return whether a trial waits at a rung."""
        rungs = self.brackets.by_trial.get(trial)
        return rungs is not None and trial in rungs.waiting_rung_index

    def withdraw(self, trial: str) -> None:
        """End a waiting trial on request."""
        # Tune can stop a trial only between its steps: `choose_trial_to_run` does it.
        self._stop_expecting(trial)
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
        rungs = self.brackets.by_trial.get(name)
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
        metrics = parse_metrics(result["metrics"])
        verdict = self.brackets.report(name, at, result["score"], metrics)
        if verdict is None:
            return TrialScheduler.CONTINUE
        ends = {end.entry.trial: end for end in rungs.end_hopeless()}
        # One row a trial: if it cannot be promoted, its end replaces the decision to wait.
        verdict = ends.pop(name, verdict)
        self.verdicts.append(verdict)
        self._end(ends.values())
        if self.observes or verdict.kind == "promote":
            return TrialScheduler.CONTINUE
        return TrialScheduler.PAUSE if verdict.kind == "pause" else TrialScheduler.STOP

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
        if rungs := self.brackets.by_trial.get(name):
            rungs.remove_trial(name)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Return the paused trial to continue; None lets Tune start the next new trial.

        Tune calls this at every step, so waiting trials that cannot be promoted end here, too.
        """
        self._end_hopeless()
        trials = self._tune_trials
        # A trial whose checkpoint is being written cannot be stopped yet: it stays in the list.
        for name in self._trials_to_stop:
            if trials[name].status in (Trial.PAUSED, Trial.PENDING):
                tune_controller.stop_trial(trials[name])
        self._trials_to_stop = [n for n in self._trials_to_stop if not trials[n].is_finished()]
        # Tune may ask several times before the trial runs: a promotion is decided only once.
        if self._next is None or self._next.status not in (Trial.PAUSED, Trial.PENDING):
            # While its checkpoint is being written, a trial is not paused yet.
            name = self._promote(lambda n: n in trials and trials[n].status == Trial.PAUSED)
            self._next = trials[name] if name else None
        return self._next

    def promote_from_earlier_session(self) -> str | None:
        """Promote a trial that waits since an earlier session; None where there is none."""
        # Tune has no trial object for these, so they cannot be unpaused: the queue starts each anew
        # from its checkpoint.
        self._end_hopeless()
        return self._promote(lambda name: name not in self._tune_trials)

    def _promote(self, is_ready: Callable[[str], bool]) -> str | None:
        """Promote the first trial of a bracket that is ready; None where there is none."""
        for rungs in self.brackets:
            if (name := rungs.find_promotable()) is not None and is_ready(name):
                self.verdicts.append(rungs.promote(name))
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

    def _end(self, verdicts: Iterable[Verdict]) -> None:
        """Record these ends; Tune does not have the trials that wait since an earlier session."""
        for verdict in verdicts:
            self.verdicts.append(verdict)
            if (name := verdict.entry.trial) in self._tune_trials:
                self._trials_to_stop.append(name)


def make_decision(verdict: Verdict) -> DecisionRow:
    """Return the row of the event log for a decision, with its sentence."""
    entry, cut = verdict.entry, verdict.cut
    return DecisionRow(
        trial=entry.trial,
        iteration=entry.iteration,
        rung=verdict.rung,
        score=entry.score,
        standard_error=entry.error,
        cut=cut and cut.score,
        rank=verdict.rank,
        of=verdict.of,
        keep=verdict.kind != "stop",
        waits=verdict.kind in ("pause", "reopen"),
        sentence=describe_verdict(verdict),
    )


def _get_id(trial: Trial) -> str:
    return trial.config["plan"]["trial"]
