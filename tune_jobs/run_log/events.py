"""The event rows of a run: the one definition of what ``events.jsonl`` holds.

A run writes one JSON object per line and never changes a line. The live table, the report, the
dashboard, ``doctor`` and resuming all read these rows and nothing else, so a run that was killed at
any moment can still be looked at and continued.

A line is strict JSON. A number that is not finite is written as null and remembered under
``nonfinite`` as its path and its name (``["metrics", "kl", "inf"]``): other readers find plain
types, :func:`read` gives the very number back.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast, get_args

from envs.validation import InputError, InputWarning


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobRow:
    """What was started; written first, and again with ``resumed`` at every resume."""

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
    objectives: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    """Metrics that are traded off against the score, with their mode."""
    keep: str = "last"
    """``last`` or ``best``: which checkpoint is a trial's result."""
    seed: int = 0
    seeds: int = 1
    """Agents that a trial trains, each on a seed of its own."""
    cpus_per_trial: float = 1.0
    """CPUs that a trial holds, its runners' and learners' included."""
    gpus_per_trial: float = 0.0
    versions: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    resumed: bool = False
    time: float = dataclasses.field(default_factory=time.time)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A setting that was drawn."""

    kind: ClassVar[str] = "trial"
    trial: str
    config: dict[str, Any]
    """The searched values only."""
    time: float = dataclasses.field(default_factory=time.time)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One training iteration of one trial."""

    kind: ClassVar[str] = "result"
    trial: str
    iteration: int
    score: float | None
    """None while too few episodes have finished, NaN where training has diverged."""
    seconds: float
    """How long this trial has trained so far."""
    env_steps: int
    """Steps of this trial so far."""
    metrics: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Flat: name to a number or a list of numbers."""
    time: float = dataclasses.field(default_factory=time.time)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecisionRow:
    """What the scheduler decided about a trial at a rung, and why."""

    kind: ClassVar[str] = "decision"
    trial: str
    iteration: int
    rung: int
    score: float | None
    cut: float | None
    """The score a trial had to reach; null while there were too few to compare with."""
    rank: int
    of: int
    keep: bool
    sentence: str
    waits: bool = False
    """Kept, and paused at the rung until a later decision."""
    time: float = dataclasses.field(default_factory=time.time)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExploitRow:
    """A trial of a population that went on from a better one's checkpoint with changed settings."""

    kind: ClassVar[str] = "exploit"
    trial: str
    iteration: int
    donor: str
    score: float | None
    donor_score: float | None
    before: dict[str, Any]
    """The searched settings it had."""
    donated: dict[str, Any]
    """Those of the donor."""
    after: dict[str, Any]
    """Those it goes on with."""
    checkpoint: str
    """The donor's, relative to the run directory."""
    took: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """The changed settings as read back from the learner after the donor's state was restored."""
    sentence: str = ""
    time: float = dataclasses.field(default_factory=time.time)


DISPROVED = "it was not seen again, and the score has improved"
"""Why a finding is withdrawn, in words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FindingRow:
    """A symptom that a health rule saw; written again, ``withdrawn``, if the run disproves it."""

    kind: ClassVar[str] = "finding"
    trial: str
    iteration: int
    symptom: str
    severity: str
    """``note``, ``warn`` or ``stop``."""
    since: int
    """The iteration at which it began."""
    evidence: str
    remedy: str
    siblings: str = ""
    """Whether the other trials had it by then, and what follows; empty while too few could."""
    withdrawn: int = 0
    """The iteration at which it had been disproved: the score had improved; 0 while it stands."""
    time: float = dataclasses.field(default_factory=time.time)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointRow:
    """A checkpoint that was completely written."""

    kind: ClassVar[str] = "checkpoint"
    trial: str
    iteration: int
    path: str
    """Relative to the run directory."""
    time: float = dataclasses.field(default_factory=time.time)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndRow:
    """Why a trial ended."""

    kind: ClassVar[str] = "end"
    trial: str
    iteration: int
    reason: str
    """``budget``, ``target``, ``plateau``, ``asha``, ``health``, ``stopped`` (by hand), ``error``
    or ``interrupted``."""
    sentence: str = ""
    time: float = dataclasses.field(default_factory=time.time)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationRow:
    """A checkpoint against random and the simple rules, all on the same seeds."""

    kind: ClassVar[str] = "evaluation"
    trial: str
    checkpoint: str
    episodes: int
    most: int = 0
    """Episodes that would have been played, had there been time; 0 where that is not known."""
    seed: int
    policy: dict[str, float]
    """The figures of the checkpoint, the most telling first; ``baselines`` has the same names."""
    baselines: dict[str, dict[str, float]] = dataclasses.field(
        default_factory=dict[str, dict[str, float]]
    )
    better_than_random: float | None = None
    """Share of the seeds, from 0 to 1."""
    traces: dict[str, dict[str, list[float]]] = dataclasses.field(
        default_factory=dict[str, dict[str, list[float]]]
    )
    """Policy name to node to the mean loss after 0, 1, … interventions."""
    choice_fractions: dict[str, list[float]] = dataclasses.field(
        default_factory=dict[str, list[float]]
    )
    experiment: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """One of its episodes told step by step, an :class:`envs.episode_trace.EpisodeTrace` as plain
    data,
    with its seed; empty where the environment tells none."""
    examples: list[dict[str, str]] = dataclasses.field(default_factory=list[dict[str, str]])
    """Some of its episodes side by side, what is shown of each by heading."""
    time: float = dataclasses.field(default_factory=time.time)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinalRow:
    """One of the best few trials, played again on fresh seeds, the same for all of them."""

    kind: ClassVar[str] = "final"
    trial: str
    checkpoint: str
    metric: str
    mode: str
    score: float | None
    """Mean over the episodes."""
    error: float
    """Its standard error."""
    episodes: int
    seed: int
    time: float = dataclasses.field(default_factory=time.time)


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobEndRow:
    """The driver has stopped."""

    kind: ClassVar[str] = "job_end"
    reason: str
    """``done``, ``interrupted``, ``stopped`` (by a request to stop it) or ``error``."""
    seconds: float
    """Wall clock of the whole job."""
    sentence: str = ""
    """Of ``error``: what the driver failed with."""
    time: float = dataclasses.field(default_factory=time.time)


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


class EventLog:
    """Appends rows to a file, safely with regard to being killed and to several writers."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def append(self, row: Row) -> None:
        """Write one row with a single append, so that at most the last line can be partial."""
        line = encode_row(row).encode() + b"\n"
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                # A killed writer left half a line: without this the new row would be lost with it.
                line = b"\n" + line
            if os.write(file, line) < len(line):
                raise OSError(f"{self.path} took only a part of a row: is the disk full?")
        finally:
            os.close(file)


def encode_row(row: Row) -> str:
    """A row as one line of strict JSON, without the newline."""
    nonfinite: list[list[str | int]] = []
    # vars, not dataclasses.asdict: that one copies every metric, and nothing here is changed.
    data = {"kind": row.kind, **_to_json_types(vars(row), (), nonfinite)}
    if nonfinite:
        data["nonfinite"] = nonfinite
    return json.dumps(data, ensure_ascii=False, allow_nan=False)


def to_json_types(value: Any) -> Any:
    """The value in the types of strict JSON: arrays become lists, non-finite numbers None."""
    return _to_json_types(value, (), [])


def read_event_log(path: str | Path) -> list[Row]:
    """Every row of a log, in the order written.

    The last line may be partial, because its writer was killed or is at work: it is left out. All
    other lines that are no rows are left out with one warning, which names the first of them.

    Raises:
        InputError: if there is no such file.
    """
    try:
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
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            if number < len(lines):
                damaged.append((number, error))
    if damaged:
        warnings.warn(f"{path}: {_left_out(damaged)}.", InputWarning, stacklevel=2)
    return rows


def _left_out(damaged: list[tuple[int, Exception]]) -> str:
    """The lines of a log that are no rows, in words: their numbers from 1, each with its error."""
    number, error = damaged[0]
    if len(damaged) == 1:
        return f"line {number} is not an event row and is left out ({error})"
    return (
        f"{len(damaged):,} lines are not event rows and are left out, the first is line {number} "
        f"({error})"
    )


def decode_row(line: bytes) -> Row:
    """The row that a line of a log holds."""
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


def _to_json_types(
    value: Any, path: tuple[str | int, ...], nonfinite: list[list[str | int]]
) -> Any:
    if hasattr(value, "tolist"):  # numpy and torch, without importing either
        value = value.tolist()
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(key): _to_json_types(item, (*path, str(key)), nonfinite) for key, item in items}
    if isinstance(value, list | tuple):
        entries = enumerate(cast("list[Any]", value))
        return [_to_json_types(item, (*path, index), nonfinite) for index, item in entries]
    if isinstance(value, float) and not math.isfinite(value):
        nonfinite.append([*path, repr(float(value))])
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
