"""The event rows of a run: the one definition of what ``events.jsonl`` holds.

A run writes one JSON object per line and never changes a line. The live table, the report, the
dashboard, ``doctor`` and resuming read these rows and nothing else, so a run that was killed at any
moment can be shown and continued.

``event_log.py`` writes and reads them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

LOG_VERSION = 2
"""Version of the log format; the one before is read, too. Since 2 older rows are in segments."""
PROGRAM = "program"
"""The ``algo`` of a job whose trials are programs."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """A row of the event log."""

    time: float = field(default_factory=time.time)
    """When it was written, in seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class TrialEvent(Event):
    """A row about one trial."""

    trial: str


@dataclass(frozen=True, kw_only=True)
class IterationEvent(TrialEvent):
    """A row about one trial after an iteration of its training."""

    iteration: int


@dataclass(frozen=True, kw_only=True)
class JobRow(Event):
    """The start of a session; written first, and again with ``resumed`` at every resume."""

    kind: ClassVar[str] = "job"
    version: int = 1
    """The log format, at most :data:`LOG_VERSION`; 1 where an earlier version wrote it."""
    run: str
    id: str = ""
    """Random id of the run, the same in all sessions; empty in logs of earlier versions."""
    env: str
    algo: str
    metric: str
    """Name of the score, e.g. ``excess_risk``."""
    mode: str
    """``min`` or ``max``: which scores are better."""
    iterations: int
    """The full budget of one trial."""
    trials: int
    steps: int = 0
    """The same in environment steps of each seed, where the job gives it so; else 0."""
    scheduler: dict[str, Any] = field(default_factory=dict[str, Any])
    """``kind``, ``grace``, ``reduction_factor`` and ``rungs`` (the iterations of its decisions)."""
    choice_names: list[str] = field(default_factory=list[str])
    charts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Charts of the environment's own metrics in the report (:mod:`rungwise.report_chart`)."""
    searched: list[str] = field(default_factory=list[str])
    """The fields that differ between trials."""
    keep: str = "last"
    """``last`` or ``best``: which checkpoint is a trial's result (always the last of a program)."""
    patience: int = 0
    """Iterations without improvement after which a trial ends; 0 without early stopping."""
    observe: bool = False
    """Whether no trial is ended early, and what would have ended one is written instead."""
    changes: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """Values that differ from the defaults, by part of the job (:mod:`tune_jobs.jobs.job_yaml`)."""
    seed: int = 0
    seeds: int = 1
    """Agents that a trial trains, each on a seed of its own."""
    cpus_per_trial: float = 1.0
    """CPUs that a trial holds, its runners' and learners' included."""
    gpus_per_trial: float = 0.0
    versions: dict[str, str] = field(default_factory=dict[str, str])
    commit: str = ""
    """Commit of the environment's code or of the working directory; empty without git."""
    machine: dict[str, str] = field(default_factory=dict[str, str])
    """``host``, ``cpu`` and ``gpu`` of the driver."""
    resumed: bool = False
    extension: str = ""
    """Changes of the job by a resume, in words; empty where it continues as it was."""

    @property
    def is_program(self) -> bool:
        """Whether its trials are programs, which keep their policies to themselves."""
        return self.algo == PROGRAM


@dataclass(frozen=True, kw_only=True)
class TrialRow(TrialEvent):
    """The searched values of a trial."""

    kind: ClassVar[str] = "trial"
    config: dict[str, Any]
    """The searched values only."""
    repeats: str = ""
    """The trial whose values it trains once more, on another seed; empty for all others."""


@dataclass(frozen=True, kw_only=True)
class ResultRow(IterationEvent):
    """One iteration of one trial; 0 is what precedes training, replaced by any later result."""

    kind: ClassVar[str] = "result"
    score: float | None
    """None where this iteration measured none, NaN where training has diverged."""
    seconds: float
    """How long this trial has trained so far."""
    env_steps: int
    """Steps of this trial so far."""
    metrics: dict[str, Any] = field(default_factory=dict[str, Any])
    """Flat: name to a number or a list of numbers."""
    stagnant: int = 0
    """Iterations without a better score, at most the patience; 0 without a patience."""
    stage_since: int = 0
    """The iteration with which the stage of a curriculum began that the score is of; 0 in the first
    one, and where the score does not depend on it."""
    node: str = ""
    """Address of the node that the trial ran on, where the run has joined a Ray."""


@dataclass(frozen=True, kw_only=True)
class LogRow(TrialEvent):
    """The log of a trial that is a program, once it has been found."""

    kind: ClassVar[str] = "log"
    path: str
    format: str
    """E.g. ``SB3 progress.csv``."""
    others: list[str] = field(default_factory=list[str])
    """Other logs that it wrote, which are not followed."""


@dataclass(frozen=True, kw_only=True)
class DecisionRow(IterationEvent):
    """A decision of the scheduler about a trial at a rung, and its reason."""

    kind: ClassVar[str] = "decision"
    rung: int
    score: float | None
    cut: float | None
    """The score a trial had to reach; null while there are too few scores to compare."""
    standard_error: float | None = None
    """Standard error of the score; null where it is not known."""
    rank: int
    of: int
    keep: bool
    sentence: str
    waits: bool = False
    """Whether the trial is kept and paused at the rung until a later decision."""

    def make_end(self) -> EndRow:
        """Return the end that follows where the trial is not kept."""
        at, why = self.iteration, self.sentence
        return EndRow(trial=self.trial, iteration=at, reason="asha", sentence=why)


@dataclass(frozen=True, kw_only=True)
class ExploitRow(IterationEvent):
    """A trial of a population that continued from a better trial's checkpoint, settings changed."""

    kind: ClassVar[str] = "exploit"
    donor: str
    score: float | None
    donor_score: float | None
    before: dict[str, Any]
    """The searched settings before."""
    donated: dict[str, Any]
    """The donor's searched settings."""
    after: dict[str, Any]
    """The searched settings from now on."""
    checkpoint: str
    """The donor's, relative to the run directory."""
    took: dict[str, Any] = field(default_factory=dict[str, Any])
    """The changed settings as read back from the learner after the donor's state was restored."""
    sentence: str = ""


DISPROVED = "its rule no longer reports it"
"""Why a finding is withdrawn, in words."""


@dataclass(frozen=True, kw_only=True)
class FindingRow(IterationEvent):
    """A finding of a health rule; written again, ``withdrawn``, if the run disproves it."""

    kind: ClassVar[str] = "finding"
    symptom: str
    severity: str
    """``note``, ``warn`` or ``stop``."""
    since: int
    """The iteration at which it began."""
    evidence: str
    remedy: str
    siblings: str = ""
    """Comparison with the other trials; empty while too few can be compared."""
    withdrawn: int = 0
    """The iteration at which it had been disproved: the score had improved; 0 while it stands."""


@dataclass(frozen=True, kw_only=True)
class CheckpointRow(IterationEvent):
    """A checkpoint that is complete."""

    kind: ClassVar[str] = "checkpoint"
    path: str
    """Relative to the run directory."""
    best: str = ""
    """The checkpoint that is the trial's result by now: this one or an earlier one; empty with
    ``keep: last``."""
    best_iteration: int = 0
    best_score: float | None = None
    """The score of its policy: the mean over the iterations after it."""


@dataclass(frozen=True, kw_only=True)
class EndRow(IterationEvent):
    """Why a trial ended."""

    kind: ClassVar[str] = "end"
    reason: str
    """``budget``, ``target``, ``plateau``, ``asha``, ``health``, ``stopped`` (by hand), ``error``
    or ``interrupted``."""
    sentence: str = ""


@dataclass(frozen=True, kw_only=True)
class ObservedEndRow(IterationEvent):
    """The end that a trial of an observed job would have had here; the first one counts."""

    kind: ClassVar[str] = "observed_end"
    reason: str
    """``plateau``, ``asha`` or ``health``."""
    sentence: str = ""


@dataclass(frozen=True, kw_only=True)
class EvaluationRow(TrialEvent):
    """A checkpoint compared with random and simple rules on the same seeds."""

    kind: ClassVar[str] = "evaluation"
    checkpoint: str
    episodes: int
    most: int = 0
    """Episodes planned, of which a limit of steps may leave out some; 0 where it is not known."""
    seed: int
    policy: dict[str, float]
    """Figures of the checkpoint, the most important first; ``baselines`` has the same names."""
    metric: str = ""
    """The episode metric that the figure ``mean`` is of; empty in logs of earlier versions."""
    baselines: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    standard_errors: dict[str, dict[str, float]] = field(
        default_factory=dict[str, dict[str, float]]
    )
    """Standard errors of the figures that are means, by player, the policy among them."""
    cut_off: dict[str, int] = field(default_factory=dict[str, int])
    """Episodes that were cut off before an end, by player."""
    better_than_random: float | None = None
    """Share of the seeds, from 0 to 1."""
    better_than_greedy: float | None = None
    """Share of the seeds on which sampled actions score better than the most likely ones."""
    traces: dict[str, dict[str, list[float]]] = field(
        default_factory=dict[str, dict[str, list[float]]]
    )
    """Policy name to node to the mean loss after 0, 1, … interventions."""
    choice_fractions: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    experiment: dict[str, Any] = field(default_factory=dict[str, Any])
    """One episode step by step: an ``EpisodeTrace`` of ``envs.contract`` as plain data, with its
    seed; empty where the environment has no traces."""
    examples: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """Some episodes as rows of a table, by heading."""
    shown: str = "policy"
    """The player of these episodes, which videos follow: ``greedy`` where that scores better."""
    failure: str = ""
    """Why the episodes could not be played; the row has no figures then."""


@dataclass(frozen=True, kw_only=True)
class FinalRow(TrialEvent):
    """A finalist's episodes on fresh seeds, the same for all finalists."""

    kind: ClassVar[str] = "final"
    checkpoint: str
    metric: str
    mode: str
    score: float | None
    """Mean over the episodes."""
    error: float
    """Its standard error."""
    episodes: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class VideoRow(TrialEvent):
    """A recorded episode of a checkpoint, or the reason why there is none."""

    kind: ClassVar[str] = "video"
    checkpoint: str
    path: str = ""
    """Relative to the run directory; empty where recording has failed."""
    seed: int = 0
    steps: int = 0
    """The video has a frame more."""
    episode_return: float = 0.0
    is_complete: bool = True
    """Whether the episode ended, rather than the video."""
    greedy: bool = False
    """Whether the policy took its most likely actions; otherwise they were sampled."""
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class JobEndRow(Event):
    """The driver has stopped."""

    kind: ClassVar[str] = "job_end"
    reason: str
    """``done``, ``interrupted``, ``stopped`` (by a request to stop it) or ``error``."""
    seconds: float
    """Wall clock of the whole job."""
    sentence: str = ""
    """The cause, where the reason is ``error``."""


Row = (
    JobRow
    | TrialRow
    | ResultRow
    | LogRow
    | DecisionRow
    | ExploitRow
    | FindingRow
    | CheckpointRow
    | EndRow
    | ObservedEndRow
    | EvaluationRow
    | FinalRow
    | VideoRow
    | JobEndRow
)
