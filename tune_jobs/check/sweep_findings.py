"""Findings about a sweep: what its own results say about the way it was run."""

from __future__ import annotations

from tune_jobs.check.check_symptom import CheckSymptom

SWEEP_FINDINGS: dict[str, CheckSymptom] = {
    "uninformative_rungs": CheckSymptom(
        probe="",
        highest="warn",
        title="The first rung did not predict the next",
        meaning=(
            "Among the trials that reached the second rung, the rank correlation between the "
            "scores at both was below 0.2; or more than 90 % of the trials had equal scores at "
            "the first rung. What was stopped there may have been better than what continued: in "
            "replays of published learning curves such sweeps lost several times as much by "
            "stopping as the others (docs/tuning.md)."
        ),
        causes=(
            "a first rung before learning starts, at which all trials score alike",
            "scores of few episodes, whose noise is as large as the differences",
            "settings that learn fast at first and settle low",
        ),
        remedy=(
            "Set the first rung later (`grace`), use more `brackets`, or run every trial to its "
            "end: `scheduler` none."
        ),
    ),
}
