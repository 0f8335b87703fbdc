"""Stop rules: when a trial ends before its scheduler asks for it, and with which reason.

To add a stop rule, write a function from :class:`TrialObservation` to :class:`StopVerdict` or None
in a file of its own and put it into :data:`STOP_RULES`.
"""

from __future__ import annotations

from tune_jobs.stopping.budget import stop_at_budget
from tune_jobs.stopping.fault import stop_at_fault
from tune_jobs.stopping.health import stop_unhealthy_trial
from tune_jobs.stopping.patience import stop_at_plateau
from tune_jobs.stopping.stop_request import stop_on_request
from tune_jobs.stopping.stop_rule import StopRule, StopVerdict, TrialObservation
from tune_jobs.stopping.target import stop_at_target

__all__ = ["STOP_RULES", "StopRule", "StopVerdict", "TrialObservation", "find_stop"]

# The first rule that fires names the end: what is broken comes before what was achieved, and the
# budget comes last because it holds for every trial that reaches it.
STOP_RULES: tuple[StopRule, ...] = (
    stop_at_fault,
    stop_unhealthy_trial,
    stop_on_request,
    stop_at_target,
    stop_at_plateau,
    stop_at_budget,
)
# After its last iteration a trial ends anyway: a stop would save nothing, and would call a run that
# has used its whole budget a failure. Its findings stay in the log.
LAST_STOP_RULES: tuple[StopRule, ...] = (stop_at_fault, stop_at_target, stop_at_budget)


def find_stop(observation: TrialObservation) -> StopVerdict | None:
    """Return the verdict of the first stop rule that fires; None while the trial continues."""
    rules = LAST_STOP_RULES if observation.is_last else STOP_RULES
    verdicts = (rule(observation) for rule in rules)
    return next((verdict for verdict in verdicts if verdict is not None), None)
