"""What the service and its clients say to each other, as plain data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cluster.queue.orders import RUN_NAME_PATTERN, RunState

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
_TOLD = ConfigDict(use_attribute_docstrings=True)


@dataclass(frozen=True, config=_STRICT)
class Submission:
    """A job to be run: a preset, or the fields of a job, or a preset with some of them changed."""

    preset: str | None = None
    """Name of a preset (`causal`)."""
    job: dict[str, Any] = Field(default_factory=dict)
    """The fields of a job as its YAML file has them; of `settings` only those that differ."""
    name: Annotated[str, Field(pattern=RUN_NAME_PATTERN.pattern)] | None = None
    """Name of the run; by default environment, date and number."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Runs with a higher one begin first."""


@dataclass(frozen=True, config=_TOLD)
class TrialState:
    """A trial of a run."""

    id: str
    score: float | None
    iterations: int
    budget: int
    """Iterations of a full run."""
    end_reason: str | None
    """None while it may still run."""
    status_text: str
    """How it stands, in words."""
    config: dict[str, Any]
    """Its searched settings."""
    checkpoint: str | None
    """The checkpoint that is its result, relative to the run's directory."""


@dataclass(frozen=True, config=_TOLD)
class JobState:
    """A run, as far as it has come."""

    name: str
    state: RunState
    message: str
    """More about the state, in words: why it failed, since when nothing was heard of it."""
    priority: int | None
    """None once it is not in the queue any more."""
    env: str
    algo: str
    trials: int
    """How many it has in all."""


@dataclass(frozen=True, config=_TOLD)
class JobDetails:
    """A run with its trials."""

    job: JobState
    metric: str
    mode: str
    """`min` or `max`: which scores are better."""
    best: str | None
    """The best trial so far."""
    compute_saved: float
    """Share of the full budget, from 0 to 1."""
    trials: list[TrialState]


@dataclass(frozen=True, config=_TOLD)
class Curve:
    """A metric of a trial by iteration, thinned to at most 400 points."""

    trial: str
    metric: str
    iterations: list[int]
    values: list[float | None]
    """Null where there was none, or it was not finite."""


@dataclass(frozen=True, config=_TOLD)
class ErrorResponse:
    """Why something cannot be done, in a sentence."""

    error: str


ControlAction = Literal["stop", "resume"]
