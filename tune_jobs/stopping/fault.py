"""Stop rule: the environment raised an error."""

from __future__ import annotations

from tune_jobs.stopping.stop_rule import StopVerdict, TrialObservation


def stop_at_fault(observation: TrialObservation) -> StopVerdict | None:
    """End a trial whose environment failed: started again it would fail again."""
    return StopVerdict("error", observation.fault) if observation.fault else None
