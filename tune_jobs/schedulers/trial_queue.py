"""Hands Tune the trials of a session one by one, as they are wanted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ray.tune.search import Searcher

from tune_jobs.run_log.resume import TrialPlan
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.schedulers.optuna_sampler import OptunaSampler


class TrialQueue(Searcher):
    """First the trials that are to run anyway, in their order; then what follows from the others.

    Args:
        plans: the trials of the session, without those that are still to be proposed.
        scheduler: says which trials wait, and calls them when they may go on.
        proposals: draws the settings of those to be proposed, if there are any.
        begin: is given each plan that was proposed, before it runs.
    """

    def __init__(
        self,
        plans: Iterable[TrialPlan],
        scheduler: RecordedASHA,
        proposals: OptunaSampler | None,
        on_proposed: Callable[[TrialPlan], None],
    ) -> None:
        super().__init__(metric="score", mode="max")
        self.asha = scheduler
        self.proposals, self.begin = proposals, on_proposed
        self.plans_to_start: deque[TrialPlan] = deque()
        self.held: dict[str, TrialPlan] = {}
        """Those that wait at a rung since an earlier session."""
        for plan in plans:
            if self.asha.is_waiting(plan.trial):
                self.held[plan.trial] = plan
            else:
                self.plans_to_start.append(plan)

    def suggest(self, trial_id: str) -> Any:
        """The next trial's plan; None while none is wanted, FINISHED when none will be."""
        plan = self._next()
        if plan is None:
            over = not self.proposals or not self.proposals.num_left
            return Searcher.FINISHED if over and self.asha.done else None
        return {"plan": vars(plan)}

    def _next(self) -> TrialPlan | None:
        if self.held and (called := self.asha.promote_from_earlier_session()):
            return self.held.pop(called)
        if self.plans_to_start:
            return self.plans_to_start.popleft()
        if self.proposals and self.proposals.num_left:
            plan = self.proposals.propose()
            self.begin(plan)
            return plan
        return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the proposals learn from the event rows."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the proposals learn from the event rows."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a run is resumed from its event rows."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, likewise."""
