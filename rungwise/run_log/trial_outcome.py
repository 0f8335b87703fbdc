"""The result of one trial of a run."""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from rungwise.formatting import format_duration, format_identifier, format_number, format_percent
from rungwise.metrics import STAGE, depends_on_stage
from rungwise.run_log import events
from rungwise.run_log.cross_trial import Sibling
from rungwise.run_log.hindsight import rises_after
from rungwise.run_log.json_types import to_json_types

CONTINUED = ("interrupted", "error")
"""Ends that a resume may undo."""

SPREAD = "score_spread"
"""Metric of a trial of several seeds: the standard deviation of their scores."""

POOLED = 100
"""Finished episodes that a score is the mean of: the last ones, or all while there are fewer."""

PER_STEP = "scored_reward_mean"
"""Metric of a trial in which no episode has ended: the mean reward per step that scores it."""


def average_later_half(scores: Iterable[tuple[int, float]], iteration: int) -> float:
    """Return what a trial is ranked by after ``iteration``.

    It is the mean of its finite scores in the later half of its iterations: settings that are
    chosen by it are better than those with the best last score (docs/tuning.md).

    Args:
        scores: iterations with their scores; that of ``iteration`` is finite.
        iteration: the last one.
    """
    counted = (s for at, s in scores if 2 * at > iteration or at == iteration)
    return average(list(filter(math.isfinite, counted)))


def read_stage(score: str, metrics: Mapping[str, Any]) -> float | None:
    """Return the stage of a curriculum that a score was measured at; None where there is none."""
    return to_finite_float(metrics.get(STAGE)) if depends_on_stage(score) else None


def average(scores: Sequence[float]) -> float:
    """Return the mean of finite scores, be they as large as a float can be."""
    # A power of two changes no digit.
    return math.fsum(score * 2.0**-32 for score in scores) / len(scores) * 2.0**32


@dataclasses.dataclass(frozen=True)
class TrialSummary:
    """A trial in the answers of commands and of the service, and on the page."""

    __pydantic_config__: ClassVar[dict[str, bool]] = {"use_attribute_docstrings": True}

    id: str
    repeats: str
    """The trial whose settings it trains once more; empty for all others."""
    score: float | None
    """The last finite score."""
    iterations: int
    budget: int
    """Iterations of a full run."""
    end_reason: str | None
    """None while the trial may still run."""
    status_text: str
    """Status in words."""
    config: dict[str, Any]
    """The searched settings."""
    checkpoint: str | None
    """The resulting checkpoint, relative to the run directory."""
    node: str
    """Address of the node that it ran on last, where the run has joined a Ray."""


@dataclasses.dataclass(frozen=True)
class TrialOutcome:
    """The result of one trial, read from the event log."""

    id: str
    job: events.JobRow
    """The latest start of its run."""
    config: dict[str, Any]
    """The latest searched settings."""
    repeats: str
    """The trial whose settings it trains once more, on another seed; empty for all others."""
    results: tuple[events.ResultRow, ...]
    """Those which a resume repeated count once."""
    scores: Sequence[tuple[int, float]]
    """The iterations with a finite score, and that score; the page has no more of most results."""
    decisions: tuple[events.DecisionRow, ...]
    findings: tuple[events.FindingRow, ...]
    exploits: tuple[events.ExploitRow, ...]
    """Its exploits of other trials under PBT."""
    checkpoints: tuple[events.CheckpointRow, ...]
    """In the order written; older ones are deleted meanwhile."""
    end: events.EndRow | None
    """None while it may still run."""
    observed_end: events.ObservedEndRow | None = None
    """Where it would have ended, had its job not only been observed."""

    @property
    def budget(self) -> int:
        """Iterations of a full run."""
        return self.job.iterations

    # Tables and rankings of thousands of trials ask again and again, and few trials change
    # meanwhile: what they ask for is kept.
    @functools.cached_property
    def iterations(self) -> int:
        """Iterations run."""
        # The last results may be missing (damaged lines are left out), so the end counts, too.
        ends = [row.iteration for row in (*self.results[-1:], self.end) if row]
        return max(ends, default=0)

    @property
    def end_reason(self) -> str | None:
        """Why it ended; None while it may still run."""
        return self.end and self.end.reason

    @property
    def sentence(self) -> str:
        """Why it ended, in words."""
        return self.end.sentence if self.end else ""

    @functools.cached_property
    def _newest(self) -> events.CheckpointRow | None:
        # The last of several rows of one iteration: a resume repeats iterations.
        return max(reversed(self.checkpoints), key=lambda row: row.iteration, default=None)

    @property
    def checkpoint(self) -> str | None:
        """Its result: the last checkpoint, or an earlier one that was better; None of a program."""
        if self.job.is_program:  # its checkpoints only say how far it was
            return None
        return self._newest and (self._newest.best or self._newest.path)

    @property
    def checkpoint_iteration(self) -> int:
        """The iteration of that checkpoint."""
        if self._newest is None:
            return 0
        return self._newest.best_iteration if self._newest.best else self._newest.iteration

    @property
    def checkpoint_score(self) -> float | None:
        """The score of the policy of that checkpoint; None for the last one."""
        is_earlier = self._newest is not None and self.checkpoint != self._newest.path
        return self._newest.best_score if self._newest and is_earlier else None

    def summarise(self) -> TrialSummary:
        """Return what commands, the service and the page say of it, in types of JSON."""
        names = [field.name for field in dataclasses.fields(TrialSummary)]
        values = {name: getattr(self, name) for name in names if name != "score"}
        return TrialSummary(score=self.finite_score, **to_json_types(values))

    @functools.cached_property
    def last_scored(self) -> events.ResultRow | None:
        """The last result with a score; a score exists only where it was measured."""
        return next((row for row in reversed(self.results) if row.score is not None), None)

    @property
    def score(self) -> float | None:
        """The last score measured: None before the first, NaN where training has diverged."""
        return self.last_scored.score if self.last_scored else None

    @functools.cached_property
    def finite_score(self) -> float | None:
        """The last score if it is a finite number."""
        return to_finite_float(self.score)

    @property
    def result_score(self) -> float | None:
        """The score of the policy that is its result; the last one if that is its last policy."""
        earlier = to_finite_float(self.checkpoint_score)
        return self.finite_score if earlier is None else earlier

    @functools.cached_property
    def settled_score(self) -> float | None:
        """The mean of the finite scores in the later half of its iterations, which ranks it.

        Of a curriculum only those of the last stage count.
        """
        if self.finite_score is None or self.last_scored is None:
            return None
        last = self.scores[-1][0]
        since = min(last, self.last_scored.stage_since)  # above it only in a damaged row
        return average_later_half([s for s in self.scores if s[0] >= since], last)

    @functools.cached_property
    def stage(self) -> float:
        """The stage of a curriculum that its last score is of."""
        last = self.last_scored
        return (read_stage(self.job.metric, last.metrics) if last else None) or 0.0

    @property
    def score_spread(self) -> float | None:
        """Standard deviation of the last score between the seeds; None where there is only one."""
        return to_finite_float(self.last_scored.metrics.get(SPREAD)) if self.last_scored else None

    @property
    def scored_reward(self) -> float | None:
        """The mean reward per step that its score was estimated from; None where episodes ended."""
        return to_finite_float(self.last_scored.metrics.get(PER_STEP)) if self.last_scored else None

    @property
    def finite_scores(self) -> list[float]:
        """Every finite score, in order."""
        return [score for _, score in self.scores]

    @property
    def seconds(self) -> float:
        """Seconds of training."""
        return self.results[-1].seconds if self.results else 0.0

    @property
    def env_steps(self) -> int:
        """Environment steps taken."""
        return self.results[-1].env_steps if self.results else 0

    @property
    def node(self) -> str:
        """Address of the node that it ran on last, where the run has joined a Ray."""
        return self.results[-1].node if self.results else ""

    @property
    def iterations_not_run(self) -> int:
        """Iterations of the full budget that were not run.

        A program that ends by itself may be shorter than its budget: it has run all there was.
        """
        return 0 if self.end_reason == "budget" else max(0, self.budget - self.iterations)

    @property
    def iterations_saved(self) -> int:
        """Iterations that will never be run; a resume tries a failed trial again."""
        return 0 if self.end_reason in (None, *CONTINUED) else self.iterations_not_run

    @property
    def seconds_saved(self) -> float | None:
        """Seconds of the saved iterations, at this trial's own pace; None if unknown."""
        return self._saved_of(self.seconds)

    @property
    def env_steps_saved(self) -> float | None:
        """Environment steps of the saved iterations, at this trial's own pace; None if unknown."""
        return self._saved_of(self.env_steps)

    def _saved_of(self, spent: float) -> float | None:
        if not self.iterations_saved:
            return 0.0
        return self.iterations_saved * spent / self.iterations if self.iterations else None

    @property
    def observed_iterations_saved(self) -> int:
        """Iterations that the end that was only observed would have saved."""
        return self.iterations - self.observed_end.iteration if self.observed_end else 0

    @property
    def rose_after_observed_end(self) -> bool | None:
        """Whether its score rose after that end; None while that is not known.

        Nor is it of ASHA, which ends trials that rise for others that rise higher.
        """
        end = self.observed_end
        if end is None or end.reason == "asha" or self.end is None or not self.scores:
            return None
        at = sum(iteration <= end.iteration for iteration, _ in self.scores)
        mode = "min" if self.job.mode == "min" else "max"
        return rises_after(self.finite_scores, at, mode)

    @property
    def warning(self) -> events.FindingRow | None:
        """The latest open finding that is more than a note."""
        standing = (f for f in self.findings if f.severity != "note" and not f.withdrawn)
        return next(reversed(list(standing)), None)

    @property
    def status_text(self) -> str:
        """The state of the trial, in words."""
        if self.end_reason is None:
            warning = self.warning
            running = "running" if self.results else "no result yet"
            if self.results and not self.iterations:
                running = describe_preparation(self.results[-1].metrics) or running
            if self.decisions and self.decisions[-1].waits:
                running = f"waits at rung {self.decisions[-1].rung}"
            if warning:
                return f"{running}, {format_identifier(warning.symptom)}"
            if self.results and (stagnant := self.results[-1].stagnant):
                return f"{running}, no better for {stagnant} of {self.job.patience}"
            return running
        if self.end_reason == "budget" and self.repeats:
            return f"finished, with the settings of {self.repeats}"
        if self.end_reason in ("budget", "interrupted"):
            return "finished" if self.end_reason == "budget" else "interrupted"
        word = "failed" if self.end_reason == "error" else "stopped"
        if self.sentence.lower().startswith(word):
            return self.sentence
        return f"{word}: {self.sentence or format_identifier(self.end_reason)}"

    def to_sibling(self) -> Sibling:
        """Return what the comparison of trials on their symptoms needs."""
        # The first row of a symptom counts, so it goes in last; a note may be fine.
        iterations = {
            row.symptom: row.iteration
            for row in reversed(self.findings)
            if row.severity != "note" and not row.withdrawn
        }
        return Sibling(self.id, self.iterations, iterations, self.config)

    @property
    def full_status_text(self) -> str:
        """The state of the trial with the sentence about its end."""
        said = self.sentence and self.sentence not in self.status_text
        return f"{self.status_text}: {self.sentence}" if said else self.status_text


def average_trials(trials: Iterable[TrialOutcome]) -> float:
    """Return the mean over trainings of the same settings, at least one of which has a score."""
    return average([s for trial in trials if (s := trial.settled_score) is not None])


def rank_trials(trials: Sequence[TrialOutcome], score: float | None = None) -> tuple[float, float]:
    """Return what sorts trainings of the same settings, the best first; by default by their mean.

    How far they are in a curriculum comes before their score, which falls with the next stage.
    """
    sign = -1 if trials[0].job.mode == "max" else 1
    mean = average_trials(trials) if score is None else score
    return -sum(trial.stage for trial in trials), sign * mean


def describe_preparation(metrics: Mapping[str, Any]) -> str:
    """Describe the progress of stage 1 of A*-PO; empty where the metrics have none.

    >>> describe_preparation({"v_star_starts": 40, "v_star_starts_left": 60, "v_star_left_s": 90.0})
    'V* of 40/100 starts, 90 s left'
    """
    if "v_star_starts" not in metrics:
        return ""
    done = metrics["v_star_starts"]
    parts = [f"V* of {done:,}/{done + metrics['v_star_starts_left']:,} starts"]
    # The most important first: a narrow screen cuts the rest.
    if "v_star_left_s" in metrics:
        parts.append(f"{format_duration(metrics['v_star_left_s'])} left")
    if "v_star_mean" in metrics:
        mean, std, top = (format_number(metrics[f"v_star_{n}"]) for n in ("mean", "std", "max"))
        parts.append(f"mean {mean} (std {std}, max {top})")
    if "v_star_failed_fraction" in metrics:
        parts.append(f"no success from {format_percent(metrics['v_star_failed_fraction'])}")
    return ", ".join(parts)


def to_finite_float(value: object) -> float | None:
    """Return the value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # math.isfinite raises for a whole number above all floats.
    return float(value) if abs(value) <= sys.float_info.max else None
