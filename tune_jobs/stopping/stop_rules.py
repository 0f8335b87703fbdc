"""Stop rules: when a trial ends before its scheduler asks for it, and with which reason.

A stop rule is a function from a :class:`TrialObservation` to a :class:`StopVerdict`, or None while
the trial continues. To add one, write it here and put it into :data:`STOP_RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rungwise.formatting import count, format_command, format_measurement
from rungwise.health import Finding
from rungwise.health.improvement import keep_finite
from rungwise.health.metric_table import MetricTable
from rungwise.health.plateau import Stagnation, has_reached_plateau, measure_stagnation
from rungwise.metrics import STAGE, STAGES_LEFT, depends_on_stage
from rungwise.run_log.stop_requests import is_stop_requested
from tune_jobs.jobs.job import Job

ENVIRONMENT_FAILED = "environment_failed"
"""Symptom of a trial that continues after an exception of its environment."""


@dataclass(frozen=True)
class TrialObservation:
    """Everything a stop rule may read about a trial after one of its iterations."""

    job: Job
    directory: Path
    """The run directory."""
    trial: str
    iteration: int
    score: float | None
    """None where this iteration measured none, NaN where training has diverged."""
    is_last: bool
    """Whether the trial ends with this iteration anyway: its budget or its program is over."""
    fault: str
    """The message of a failed environment; empty where nothing failed."""
    history: MetricTable
    """All iterations of the trial, the latest last."""
    findings: Sequence[Finding]
    """Findings of the health rules on this history."""
    compare_with_siblings: Callable[[str], str]
    """Symptom -> a sentence about the other trials, or an empty text.

    A function, because the comparison costs too much to be made at every iteration.
    """


@dataclass(frozen=True)
class StopVerdict:
    """Why a trial ends."""

    reason: str
    """One of the end reasons of :class:`rungwise.run_log.events.EndRow`."""
    sentence: str
    """The reason with the values that decided it, for people."""


STOPPED_BY_HAND = StopVerdict("stopped", "stopped by hand")


def stop_at_fault(observation: TrialObservation) -> StopVerdict | None:
    """End a trial whose environment failed too often, or whose program cannot be followed."""
    if not observation.fault:
        return None
    # A program without a readable log would fail again; an environment may be mended.
    if observation.job.is_program:
        return StopVerdict("error", observation.fault)
    resume = suggest_resume(observation.directory, observation.iteration)
    return StopVerdict("error", f"{observation.fault}; {resume}")


def suggest_resume(directory: Path, iteration: int) -> str:
    """Return how a trial that failed after an iteration is continued, once its cause is mended."""
    resume = format_command("rungwise", "resume", directory)
    if not iteration:
        return f"mend it, then `{resume}` starts the trial again"
    return f"`{resume}` continues it from its last checkpoint"


def describe_last_failure(sentence: str, failures: int) -> str:
    """Return how often an environment has failed, and how the last time.

    >>> describe_last_failure("Lift-v0 failed in step(): KeyError: 'a'", 4)
    "Lift-v0 failed in step(): KeyError: 'a'; its environments have failed 4 times"
    """
    if failures < 2:
        return sentence
    return f"{sentence}; its environments have failed {count(failures, 'time')}"


def stop_unhealthy_trial(observation: TrialObservation) -> StopVerdict | None:
    """End a trial with a finding of severity ``stop``, with what the other trials show."""
    finding = next((f for f in observation.findings if f.severity == "stop"), None)
    if finding is None:
        return None
    comparison = observation.compare_with_siblings(finding.symptom)
    sentence = f"{finding.symptom}: {finding.evidence}"
    return StopVerdict("health", f"{sentence}; {comparison}" if comparison else sentence)


def stop_on_request(observation: TrialObservation) -> StopVerdict | None:
    """End a trial for which the run directory holds a stop request."""
    requested = is_stop_requested(observation.directory, observation.trial)
    return STOPPED_BY_HAND if requested else None


def stop_at_target(observation: TrialObservation) -> StopVerdict | None:
    """End a trial whose score is at least as good as ``job.target``, in its last stage."""
    job, score = observation.job, observation.score
    if job.target is None or score is None:
        return None
    # A NaN score compares false either way, so a diverged trial never reaches a target.
    reached = score >= job.target if job.mode == "max" else score <= job.target
    if not reached:
        return None
    # An easy stage reaches it soon; the policy that is wanted has to reach it in the hardest.
    if depends_on_stage(job.metric) and observation.history.column(STAGES_LEFT)[-1:] > 0:
        return None
    return StopVerdict("target", f"reached the target {job.target:g} with {score:.4g}")


def stop_at_plateau(observation: TrialObservation) -> StopVerdict | None:
    """End a trial without improvement for ``job.patience`` iterations (early stopping).

    The rule reads the metric as each iteration measured it and not the score: the score is pooled
    over trailing iterations, so consecutive scores share episodes and are not independent.
    """
    job = observation.job
    if not job.patience:
        return None
    rows = _drop_incomparable(job, observation.history)
    sign, iterations = _get_sign(job), rows.column("iteration")
    values = sign * rows.column(job.metric)
    if not has_reached_plateau(values, iterations, job.patience, job.min_delta):
        return None
    sentence = f"the score has not improved for {job.patience} iterations"
    if (plateau := _measure_stagnation(job, rows)) is not None:
        best, latest = map(format_measurement, (sign * plateau.best, sign * plateau.latest))
        averaged = f" (means of {plateau.averaged} scores)" if plateau.averaged > 1 else ""
        sentence += f": best {best} at iteration {plateau.best_at}, now {latest}{averaged}"
    return StopVerdict("plateau", sentence)


def count_stagnant_iterations(job: Job, history: MetricTable) -> int:
    """Return the number of iterations without a better score, at most the patience; 0 without."""
    plateau = _measure_stagnation(job, _drop_incomparable(job, history)) if job.patience else None
    return min(plateau.iterations, job.patience) if plateau else 0


def find_stage_start(job: Job, history: MetricTable) -> int:
    """Return the iteration with which the stage began that scores are of; 0 in the first one."""
    row = _find_stage_row(job, history)
    return int(history.column("iteration")[row]) if row else 0


def _find_stage_row(job: Job, history: MetricTable) -> int:
    return history.find_last_change(STAGE) if depends_on_stage(job.metric) else 0


def _drop_incomparable(job: Job, rows: MetricTable) -> MetricTable:
    """Leave out leading rows of random actions, and of the easier stages of a curriculum."""
    limits = keep_finite(rows.column("warm_up_steps"))
    random = int(np.sum(rows.column("env_steps") <= limits[-1])) if limits.size else 0
    return rows[max(random, _find_stage_row(job, rows)) :]


def _measure_stagnation(job: Job, rows: MetricTable) -> Stagnation | None:
    values = _get_sign(job) * rows.column(job.metric)
    return measure_stagnation(values, rows.column("iteration"), job.patience, job.min_delta)


def _get_sign(job: Job) -> int:
    """Return the factor that makes a higher score a better one."""
    return 1 if job.mode == "max" else -1


def stop_at_budget(observation: TrialObservation) -> StopVerdict | None:
    """End a trial that has run all iterations of the job."""
    iterations = observation.job.iterations
    # A program ends by itself: after its budget it may still write what it has learnt.
    if observation.job.is_program or observation.iteration < iterations:
        return None
    return StopVerdict("budget", f"ran all {iterations} iterations")


StopRule: TypeAlias = Callable[[TrialObservation], StopVerdict | None]
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


OBSERVED_RULES: tuple[StopRule, ...] = (stop_unhealthy_trial, stop_at_plateau)
"""Rules that end no trial of an observed job."""


def find_stop(observation: TrialObservation) -> StopVerdict | None:
    """Return the verdict of the first stop rule that fires; None while the trial continues."""
    rules = LAST_STOP_RULES if observation.is_last else STOP_RULES
    if observation.job.observe:
        rules = [rule for rule in rules if rule not in OBSERVED_RULES]
    return _ask(rules, observation)


def find_observed_stop(observation: TrialObservation) -> StopVerdict | None:
    """Return what would have ended a trial of an observed job; None of any other job."""
    if not observation.job.observe or observation.is_last:
        return None
    return _ask(OBSERVED_RULES, observation)


def _ask(rules: Iterable[StopRule], observation: TrialObservation) -> StopVerdict | None:
    verdicts = (rule(observation) for rule in rules)
    return next((verdict for verdict in verdicts if verdict is not None), None)
