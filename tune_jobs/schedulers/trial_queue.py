"""The queue of a session's trials, from which Tune takes one at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import JobRow, Row, TrialRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import TrialOutcome
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.trials import REPEAT, TrialPlan, get_hang_report_dir
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.schedulers.optuna_sampler import OptunaSampler


class Repeats:
    """Chooses the last trials of a sweep: its best settings, trained once more on another seed.

    The best of many trainings was lucky to a good part. A second seed for the few best settings
    finds more of the really good ones than as many new settings do (docs/tuning.md).

    Args:
        job: with its number of repeats.
        directory: of the run.
        earlier: the event rows so far.
    """

    def __init__(self, job: Job, directory: Path, earlier: Iterable[Row]) -> None:
        self.directory, self._number = directory, job.num_repeats
        chosen = 0
        for row in earlier:
            if isinstance(row, TrialRow) and row.repeats:
                chosen += 1
            elif isinstance(row, JobRow) and row.extension:
                chosen = 0  # others may be the best by then
        self.num_left = max(0, job.num_repeats - chosen)
        """Repeats that are not chosen yet, at most."""

    def choose(self) -> list[tuple[TrialPlan, str]]:
        """Return the plans of the repeats, each with the trial that it repeats, the best first.

        They are fewer where fewer trials have a score. Called when all other trials have ended.
        """
        chosen, self.num_left = self._list_due(), 0
        return [
            (TrialPlan(name, t.config, str(get_hang_report_dir(self.directory, name))), t.id)
            for t in chosen
            for name in [t.id + REPEAT]
        ]

    def drop_needless(self) -> None:
        """Expect no repeats where all other trials have ended and the best are repeated."""
        self.num_left = len(self._list_due()) if self.num_left else 0

    def _list_due(self) -> list[TrialOutcome]:
        outcome = Outcome.from_rows(read_event_log(self.directory / "events.jsonl"))
        repeated_trials = {trial.repeats for trial in outcome.trials}
        ranked = [trial for trial in outcome.ranked if not trial.repeats]
        best = [t for t in ranked[: self._number] if t.id not in repeated_trials]
        return best[: self.num_left]


class TrialQueue(Searcher):
    """A searcher for Tune: the planned trials, those that a sampler proposes, then the repeats.

    Args:
        plans: the trials of the session, without those that are still to be proposed.
        scheduler: knows which trials wait at a rung, and promotes them.
        proposals: the sampler of the remaining trials; None where all are planned.
        repeats: of the best trials.
        on_proposed: called with each proposed plan before it runs, and the trial that it repeats.
    """

    def __init__(
        self,
        plans: Iterable[TrialPlan],
        scheduler: RecordedASHA,
        proposals: OptunaSampler | None,
        repeats: Repeats,
        on_proposed: Callable[[TrialPlan, str], None],
    ) -> None:
        super().__init__(metric="score", mode="max")
        self.asha = scheduler
        self.proposals, self.repeats, self._on_proposed = proposals, repeats, on_proposed
        self.plans_to_start: deque[TrialPlan] = deque()
        self.waiting_plans: dict[str, TrialPlan] = {}
        """Plans of the trials that wait at a rung since an earlier session."""
        for plan in plans:
            if self.asha.is_waiting(plan.trial):
                self.waiting_plans[plan.trial] = plan
            else:
                self.plans_to_start.append(plan)

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's plan; None while there is none, FINISHED after the last."""
        plan = self._next()
        if plan is None:
            # FINISHED is final for Tune: while a trial of an earlier session still waits at a rung,
            # it may be promoted later and needs the queue.
            has_more = self.repeats.num_left or (self.proposals and self.proposals.num_left)
            return None if has_more or not self.asha.done else Searcher.FINISHED
        return {"plan": vars(plan)}

    def _next(self) -> TrialPlan | None:
        # Promoted trials before new ones, as ASHA does with those of this session: they are closer
        # to a result.
        if self.waiting_plans and (trial := self.asha.promote_from_earlier_session()):
            return self.waiting_plans.pop(trial)
        if self.plans_to_start:
            return self.plans_to_start.popleft()
        if self.proposals and self.proposals.num_left:
            plan = self.proposals.propose()
            self._on_proposed(plan, "")
            return plan
        if self.repeats.num_left and self.asha.done:
            for plan, repeated in self.repeats.choose():
                self._on_proposed(plan, repeated)
                self.plans_to_start.append(plan)
            return self._next()
        return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: the sampler learns from the event rows."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Do nothing: the sampler learns from the event rows."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: a run is resumed from its event rows."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, likewise."""
