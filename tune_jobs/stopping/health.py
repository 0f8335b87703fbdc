"""Stop rule: a health rule found something that calls for a stop."""

from __future__ import annotations

from tune_jobs.stopping.stop_rule import StopVerdict, TrialObservation


def stop_unhealthy_trial(observation: TrialObservation) -> StopVerdict | None:
    """End a trial with a finding of severity ``stop``, with what the other trials show."""
    finding = next((f for f in observation.findings if f.severity == "stop"), None)
    if finding is None:
        return None
    comparison = observation.compare_with_siblings(finding.symptom)
    sentence = f"{finding.symptom}: {finding.evidence}"
    return StopVerdict("health", f"{sentence}; {comparison}" if comparison else sentence)
