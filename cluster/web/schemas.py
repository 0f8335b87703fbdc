"""Requests and responses of the service."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from cluster.queue.orders import RUN_NAME_PATTERN, RunState
from rungwise.run_log.trial_outcome import TrialSummary

_STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
_DESCRIBED = ConfigDict(use_attribute_docstrings=True)


def _check_run_name(name: str) -> str:
    if RUN_NAME_PATTERN.fullmatch(name):
        return name
    nearest = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-")[:64] or "run"
    # As a value of the template: braces in the name would be placeholders.
    sentence = (
        f"A run cannot be called {name!r}: its name has at most 64 letters, digits, dots, hyphens "
        f"and underscores, and begins with a letter or a digit, such as {nearest!r}"
    )
    raise PydanticCustomError("run_name", "{sentence}", {"sentence": sentence})


@dataclass(frozen=True, config=_STRICT)
class Submission:
    """A job to run: a preset, the fields of a job, or a preset with some fields replaced."""

    preset: str | None = None
    """Name of a preset (`causal`)."""
    job: dict[str, Any] = Field(default_factory=dict)
    """The fields of a job, as in its YAML file; of `settings` only those that differ."""
    name: (
        Annotated[
            str,
            AfterValidator(_check_run_name),
            Field(json_schema_extra={"pattern": RUN_NAME_PATTERN.pattern}),
        ]
        | None
    ) = None
    """Name of the run; by default environment, date and number."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Runs with a higher priority start first."""


@dataclass(frozen=True, config=_STRICT)
class Extension:
    """A larger budget for a run that is resumed."""

    trials: int | None = None
    """Number of trials."""
    iterations: int | None = None
    """Iterations of each trial."""
    steps: int | None = None
    """The same in environment steps of each seed."""


@dataclass(frozen=True, config=_DESCRIBED)
class JobState:
    """State of a run."""

    name: str
    state: RunState
    message: str
    """Explanation of the state: why the run failed, or how long it has been silent."""
    priority: int | None
    """None if the run is not in the queue."""
    env: str
    algo: str
    trials: int
    """Number of trials of the job."""


@dataclass(frozen=True, config=_DESCRIBED)
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
    trials: list[TrialSummary]


@dataclass(frozen=True, config=_DESCRIBED)
class Curve:
    """A metric of a trial by iteration, thinned to at most 400 points."""

    trial: str
    metric: str
    iterations: list[int]
    values: list[float | None]
    """Null where the metric is missing or not finite."""


@dataclass(frozen=True, config=_DESCRIBED)
class ErrorResponse:
    """Why a request is refused."""

    error: str


ControlAction = Literal["stop", "resume"]
