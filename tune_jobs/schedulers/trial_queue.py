"""The queue of a session's trials, from which Tune takes one at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ray.tune.search import Searcher

from tune_jobs.run_log.resume import TrialPlan
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.schedulers.optuna_sampler import OptunaSampler
from tune_jobs.schedulers.repeats import Repeats


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
        self.held: dict[str, TrialPlan] = {}
        """Plans of the trials that wait at a rung since an earlier session."""
        for plan in plans:
            if self.asha.is_waiting(plan.trial):
                self.held[plan.trial] = plan
            else:
                self.plans_to_start.append(plan)

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's plan; None while there is none, FINISHED after the last."""
        plan = self._next()
        if plan is None:
            # FINISHED is final for Tune: while a trial of an earlier session still waits at a rung,
            # it may be promoted later and needs the queue.
            left = self.repeats.num_left or (self.proposals and self.proposals.num_left)
            return None if left or not self.asha.done else Searcher.FINISHED
        return {"plan": vars(plan)}

    def _next(self) -> TrialPlan | None:
        # Promoted trials before new ones, as ASHA does with those of this session: they are closer
        # to a result.
        if self.held and (called := self.asha.promote_from_earlier_session()):
            return self.held.pop(called)
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
