"""The event rows of a run: the one definition of what ``events.jsonl`` holds.

A run writes one JSON object per line and never changes a line. The live table, the report, the
dashboard, ``doctor`` and resuming read these rows and nothing else, so a run that was killed at any
moment can be shown and continued.

A line is strict JSON. A number that is not finite is written as null, and ``nonfinite`` holds its
path and its value (``["metrics", "kl", "inf"]``): other readers find plain types, and
:func:`decode_row` restores the number.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import time
import warnings
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, get_args

from envs.validation import InputError, InputWarning
from tune_jobs.run_log.json_types import convert_to_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """A row of the event log."""

    time: float = dataclasses.field(default_factory=time.time)
    """When it was written, in seconds since 1970."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialEvent(Event):
    """A row about one trial."""

    trial: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class IterationEvent(TrialEvent):
    """A row about one trial after an iteration of its training."""

    iteration: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobRow(Event):
    """The start of a session; written first, and again with ``resumed`` at every resume."""

    kind: ClassVar[str] = "job"
    run: str
    env: str
    algo: str
    metric: str
    """Name of the score, e.g. ``excess_risk``."""
    mode: str
    """``min`` or ``max``: which scores are better."""
    iterations: int
    """The full budget of one trial."""
    trials: int
    scheduler: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """``kind``, ``grace``, ``reduction_factor`` and ``rungs`` (the iterations of its decisions)."""
    choice_names: list[str] = dataclasses.field(default_factory=list[str])
    searched: list[str] = dataclasses.field(default_factory=list[str])
    """The fields that differ between trials."""
    keep: str = "last"
    """``last`` or ``best``: which checkpoint is a trial's result."""
    patience: int = 0
    """Iterations without improvement after which a trial ends; 0 without early stopping."""
    changes: dict[str, dict[str, Any]] = dataclasses.field(
        default_factory=dict[str, dict[str, Any]]
    )
    """What differs from the defaults, by part of the job (see ``jobs/changes.py``)."""
    seed: int = 0
    seeds: int = 1
    """Agents that a trial trains, each on a seed of its own."""
    cpus_per_trial: float = 1.0
    """CPUs that a trial holds, its runners' and learners' included."""
    gpus_per_trial: float = 0.0
    versions: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    resumed: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialRow(TrialEvent):
    """The searched values of a trial."""

    kind: ClassVar[str] = "trial"
    config: dict[str, Any]
    """The searched values only."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultRow(IterationEvent):
    """One iteration of one trial; 0 is what precedes training, replaced by any later result."""

    kind: ClassVar[str] = "result"
    score: float | None
    """None where this iteration measured none, NaN where training has diverged."""
    seconds: float
    """How long this trial has trained so far."""
    env_steps: int
    """Steps of this trial so far."""
    metrics: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Flat: name to a number or a list of numbers."""
    stagnant: int = 0
    """Iterations without a better score, at most the patience; 0 without a patience."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecisionRow(IterationEvent):
    """A decision of the scheduler about a trial at a rung, and its reason."""

    kind: ClassVar[str] = "decision"
    rung: int
    score: float | None
    cut: float | None
    """The score a trial had to reach; null while there are too few scores to compare."""
    rank: int
    of: int
    keep: bool
    sentence: str
    waits: bool = False
    """Whether the trial is kept and paused at the rung until a later decision."""


@dataclasses.dataclass(frozen=True, kw_only=True)
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
    took: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """The changed settings as read back from the learner after the donor's state was restored."""
    sentence: str = ""


DISPROVED = "it was not seen again, and the score has improved"
"""Why a finding is withdrawn, in words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointRow(IterationEvent):
    """A checkpoint that is complete."""

    kind: ClassVar[str] = "checkpoint"
    path: str
    """Relative to the run directory."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndRow(IterationEvent):
    """Why a trial ended."""

    kind: ClassVar[str] = "end"
    reason: str
    """``budget``, ``target``, ``plateau``, ``asha``, ``health``, ``stopped`` (by hand), ``error``
    or ``interrupted``."""
    sentence: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationRow(TrialEvent):
    """A checkpoint compared with random and simple rules on the same seeds."""

    kind: ClassVar[str] = "evaluation"
    checkpoint: str
    episodes: int
    most: int = 0
    """Episodes planned, of which a time limit may leave out some; 0 where it is not known."""
    seed: int
    policy: dict[str, float]
    """Figures of the checkpoint, the most important first; ``baselines`` has the same names."""
    baselines: dict[str, dict[str, float]] = dataclasses.field(
        default_factory=dict[str, dict[str, float]]
    )
    better_than_random: float | None = None
    """Share of the seeds, from 0 to 1."""
    better_than_greedy: float | None = None
    """Share of the seeds on which sampled actions score better than the most likely ones."""
    traces: dict[str, dict[str, list[float]]] = dataclasses.field(
        default_factory=dict[str, dict[str, list[float]]]
    )
    """Policy name to node to the mean loss after 0, 1, … interventions."""
    choice_fractions: dict[str, list[float]] = dataclasses.field(
        default_factory=dict[str, list[float]]
    )
    experiment: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """One episode step by step: an :class:`envs.episode_trace.EpisodeTrace` as plain data, with its
    seed; empty where the environment has no traces."""
    examples: list[dict[str, str]] = dataclasses.field(default_factory=list[dict[str, str]])
    """Some episodes as rows of a table, by heading."""


@dataclasses.dataclass(frozen=True, kw_only=True)
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


@dataclasses.dataclass(frozen=True, kw_only=True)
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
    | DecisionRow
    | ExploitRow
    | FindingRow
    | CheckpointRow
    | EndRow
    | EvaluationRow
    | FinalRow
    | JobEndRow
)

KINDS: dict[str, type[Row]] = {row.kind: row for row in get_args(Row)}
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
"""Errors of decoding a line that is no event row."""
RESULT_HEAD = re.compile(
    rb'\{"kind": "result", "time": [-+.\deE]+, "trial": "([^"\\]*)", "iteration": (\d+), '
    rb'"score": ([-+.\deE]+|null), '
)


class ResultHead(NamedTuple):
    """The first fields of a result row."""

    trial: str
    iteration: int
    score: float
    """NaN where there is none."""


class EventLog:
    """An event log opened for appending, safe against kills and several writers."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def append(self, row: Row) -> None:
        """Append one row in a single write, so that at most the last line can be partial."""
        line = encode_row(row).encode() + b"\n"
        # Opened for each row: several writers may append, and O_APPEND puts each row at the end of
        # the file as it is then.
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                # A killed writer left half a line: without this the new row would be lost with it.
                line = b"\n" + line
            # A full disk cuts a write short. The next append begins a new line (see above).
            if os.write(file, line) < len(line):
                raise OSError(f"{self.path} took only a part of a row: is the disk full?")
        finally:
            os.close(file)


def encode_row(row: Row) -> str:
    """Return a row as one line of strict JSON, without the newline."""
    # Strict JSON has no NaN: other readers (jq, a browser) would reject the whole line.
    # vars, not dataclasses.asdict, which would copy every metric.
    fields, nonfinite = convert_to_json(vars(row))
    data = {"kind": row.kind, **fields}
    if nonfinite:
        data["nonfinite"] = nonfinite
    return json.dumps(data, ensure_ascii=False, allow_nan=False)


def read_event_log(path: str | Path) -> list[Row]:
    """Return every row of a log, in the order written.

    The last line may be partial, because its writer was killed or is at work: it is left out. Other
    lines that are no rows are left out with one warning, which names the first of them.

    Raises:
        InputError: if there is no such file.
    """
    try:
        # Bytes, and only newlines: splitlines would also split at U+2028 inside a text.
        lines = Path(path).read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"There is no {path}: a run directory has an events.jsonl, so check the path."
        ) from None
    while lines and not lines[-1].strip():
        lines.pop()
    rows: list[Row] = []
    damaged: list[tuple[int, Exception]] = []
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                rows.append(decode_row(line))
        except UNREADABLE as error:
            # The last line may still be being written, so it is no damage.
            if number < len(lines):
                damaged.append((number, error))
    if damaged:
        warnings.warn(f"{path}: {_describe_damage(damaged)}.", InputWarning, stacklevel=2)
    return rows


def _describe_damage(damaged: list[tuple[int, Exception]]) -> str:
    """Describe the lines of a log that are no rows, given as numbers from 1 and errors."""
    number, error = damaged[0]
    if len(damaged) == 1:
        return f"line {number} is not an event row and is left out ({error})"
    lines = f"{len(damaged):,} lines are not event rows and are left out"
    return f"{lines}, the first is line {number} ({error})"


def decode_row(line: bytes) -> Row:
    """Return the row that a line of a log holds."""
    data = json.loads(line)
    for *path, last, word in data.pop("nonfinite", ()):
        place = data
        for key in path:
            place = place[key]
        place[last] = float(word)
    row = KINDS[data.pop("kind")]
    known = {field.name for field in dataclasses.fields(row)}
    # A later version may have added fields: an older reader still shows what it knows.
    return row(**{name: value for name, value in data.items() if name in known})


def decode_row_or_none(line: bytes) -> Row | None:
    """Return the row that a line of a log holds; None where a killed writer cut the line off."""
    try:
        return decode_row(line)
    except UNREADABLE:
        return None


def read_result_head(line: bytes) -> ResultHead | None:
    """Read only the head of a result row, some fifty times as fast as :func:`decode_row`.

    Returns:
        None for rows of any other kind, and for results that another program wrote.
    """
    # The pattern follows the order of fields in ResultRow; a test holds the two together.
    # The metrics, by far the longest part of a line, are not parsed at all.
    if not (match := RESULT_HEAD.match(line)):
        return None
    score = math.nan if match[3] == b"null" else float(match[3])
    return ResultHead(match[1].decode(), int(match[2]), score)


def read_log_ends(path: Path) -> tuple[JobRow | None, JobEndRow | None]:
    """Read only the job row that a log begins with and the job's end that it closes with."""
    with path.open("rb") as file:
        first = file.readline()
        file.seek(max(0, path.stat().st_size - 4096))  # a job's end is much shorter than this
        last = file.read().rstrip().rpartition(b"\n")[2]
    # A last line of another kind means that the driver is at work or was killed: no end.
    job, end = decode_row_or_none(first), decode_row_or_none(last)
    return job if isinstance(job, JobRow) else None, end if isinstance(end, JobEndRow) else None
