"""One finished run, replayed through the rules that judge live runs."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.health.diagnosis import Limit, diagnose
from rungwise.health.finding import Finding
from rungwise.health.metric_table import MetricTable, as_number
from rungwise.judging.run_judge import Mode, RunJudge
from rungwise.logs.discovery import OwnRun, Unreadable, describe_os_error
from rungwise.logs.formats import LogReader
from rungwise.logs.likely_return import advise_rename
from rungwise.logs.log import Log
from rungwise.logs.log_record import Record
from rungwise.logs.log_rows import RETURNS, SUCCESS, Iteration, LogRows
from rungwise.logs.names.name_matching import recognise_libraries
from rungwise.logs.read_logs import LogSource, read_own_run, read_rest
from rungwise.logs.stacked_runs import find_env, split_runs
from rungwise.run_log.hindsight import is_best_at, rises_after
from rungwise.validation import InputError

WHOLE = 50_000_000
"""Bytes of a log up to which its records are kept between the two times that they are needed."""
ENV_ID = re.compile(r"[A-Za-z][A-Za-z0-9.]*(?:-[A-Za-z0-9]+)*-v\d+(?!\d)")
"""An environment of Gymnasium, in the name of a folder or file."""
LATE = 0.95
"""Share of a run after which ending it saves nothing worth counting."""


@dataclass(frozen=True)
class JudgingOptions:
    """How the runs of an audit are judged."""

    budget: float = 0.0
    """How far each run was to go, in environment steps or rows; 0 takes its own length."""
    metric: str = RETURNS[0]
    """Name of the score."""
    mode: Mode = "max"
    rename: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    limits: Mapping[str, Limit] = dataclasses.field(default_factory=dict[str, Limit])
    """The highest severity of a finding by its symptom."""


@dataclass(frozen=True)
class ReplayedStop:
    """Where a run would have been ended, and why."""

    symptom: str
    evidence: str
    remedy: str
    part: int
    """Index of the part after which it would have been ended."""
    share: float
    """How much of the run's length had passed."""


@dataclass(frozen=True)
class ReplayedRun:
    """A run as the audit knows it; a log that cannot be read has no parts."""

    name: str
    path: str
    kind: str
    """The library, or the format, that wrote the log."""
    note: str = ""
    """Why it was not judged, or not all of it; empty if it was."""
    env: str = ""
    """The environment, where the log or its path names it."""
    metric: str = ""
    mode: Mode = "max"
    length: float = 0.0
    """Environment steps, or rows where these are not logged."""
    counts_steps: bool = False
    seconds: float | None = None
    """How long it took; None where the log does not say."""
    scores: tuple[float | None, ...] = ()
    """Score of each part [R]; None where it has none."""
    shares: tuple[float, ...] = ()
    """How much of the length had passed after each part [R]."""
    stop: ReplayedStop | None = None
    warned: tuple[str, ...] = ()
    """Symptoms that were warned of before."""
    is_cut: bool = False
    """Whether the log ends within a line: a crash, or it is still being written."""

    @property
    def is_judged(self) -> bool:
        """Whether it has rows that were judged."""
        return bool(self.scores)

    @property
    def rose(self) -> bool | None:
        """Whether the score rose after the stop; None without stop, or without scores."""
        if self.stop is None or self.final_score is None:
            return None
        return rises_after(np.array(self.scores, np.float64), self.stop.part + 1, self.mode)

    @property
    def was_best(self) -> bool:
        """Whether its score was never better than when it was stopped."""
        scores = np.array(self.scores, np.float64)
        return self.stop is not None and is_best_at(scores, self.stop.part + 1, self.mode)

    @property
    def final_score(self) -> float | None:
        """The mean score of the last tenth of its parts; None where it has no score."""
        last = self.scores[-max(1, len(self.scores) // 10) :]
        finite = [s for s in last if s is not None and math.isfinite(s)]
        return float(np.mean(finite)) if finite else None


def replay_source(source: LogSource, name: str, options: JudgingOptions) -> list[ReplayedRun]:
    """Judge the runs of a log; whatever is wrong with it becomes a note, never an error."""
    path, kind = str(source.files[0]), source.name
    if isinstance(source, Unreadable):
        return [ReplayedRun(name, path, kind, note=source.note)]
    try:
        with np.errstate(all="ignore"):  # diverged runs log values at the end of the float range
            if isinstance(source, OwnRun):
                return [
                    _replay_own(log, path, options) for log in read_own_run(source.file, f"{name}/")
                ]
            return _replay(source, name, options)
    except InputError as error:
        note = str(error)
    except OSError as error:
        note = describe_os_error(source.files[0], error)
    except Exception as error:  # one log of thousands must not end the audit
        note = f"{path} cannot be judged: {error!r}."
    return [ReplayedRun(name, path, kind, note=note)]


def _replay(reader: LogReader, name: str, options: JudgingOptions) -> list[ReplayedRun]:
    if _measure_bytes(reader) > WHOLE:
        return [_replay_run(reader, name, options, [])]
    runs = split_runs(name, read_rest(reader))
    return [_replay_run(reader, run, options, [records]) for run, records in runs.items()]


def _replay_run(
    reader: LogReader, name: str, options: JudgingOptions, kept: list[list[Record]]
) -> ReplayedRun:
    path = reader.files[0]
    length = _measure(kept or _read_in_parts(_open_again(reader)), path, options)
    counts = "env_steps" if length.counts_steps else None
    judge = RunJudge(
        budget=options.budget or length.reached,
        progress="" if options.budget else counts,
        metric=options.metric,
        mode=options.mode,
        rename=options.rename,
        limits=options.limits,
    )
    replay = _Replay(length.rows)
    envs: set[str] = set()
    for records in kept or _read_in_parts(reader):
        envs |= {find_env(records)} if records else set()
        for iteration in judge.replay(records):
            replay.add(iteration, judge)
    for iteration in judge.replay([], final=True):
        replay.add(iteration, judge)
    if not replay.scores:
        columns = judge.log.columns
        raise InputError(f"{path} has {'no row' if not columns else 'no metric that is known'}.")
    lacks_score = all(score is None for score in replay.scores)
    missing = f"It has no {options.metric}. {advise_rename(judge.log.likely_return)}"
    return ReplayedRun(
        name,
        str(path),
        _name_kind(reader.name, judge.log.names),
        note=" ".join(filter(None, (reader.note, reader.left_out, missing * lacks_score))),
        env=(envs.pop() if len(envs) == 1 else "") or _find_env(path),
        metric=SUCCESS if judge.log.score == SUCCESS else judge.log.metric,
        mode=options.mode,
        length=length.reached,
        counts_steps=length.counts_steps,
        seconds=length.seconds,
        **replay.get_fields(),
        is_cut=bool(reader.left_out or reader.damage),
    )


def _replay_own(log: Log, path: str, options: JudgingOptions) -> ReplayedRun:
    """Judge a trial of ours again: its rows are those that the rules saw while it ran."""
    table, replay = MetricTable(), _Replay(len(log.rows))
    for row in log.rows:
        table.append(row)
        replay.add_score(as_number(row.get(log.score)), len(table))
        if replay.stop is None:
            history = dataclasses.replace(log, rows=table).history
            replay.note_findings(diagnose(history, options.limits).findings)
    steps = max((as_number(row.get("env_steps")) for row in log.rows), default=math.nan)
    seconds = sum(as_number(row.get("iteration_s", 0.0)) for row in log.rows)
    return ReplayedRun(
        log.name,
        path,
        log.format,
        note=log.note,
        env=log.env,
        metric=log.score,
        mode=log.mode,
        length=steps if math.isfinite(steps) else len(log.rows),
        counts_steps=math.isfinite(steps),
        seconds=seconds if seconds > 0 else None,
        **replay.get_fields(),
    )


@dataclass
class _Replay:
    """The state of a replayed run after some of its parts."""

    rows: int
    """Number of rows of the whole log."""
    scores: list[float | None] = dataclasses.field(default_factory=list[float | None])
    shares: list[float] = dataclasses.field(default_factory=list[float])
    stop: ReplayedStop | None = None
    warned: dict[str, None] = dataclasses.field(default_factory=dict[str, None])

    def add(self, iteration: Iteration, judge: RunJudge) -> None:
        """Add a part that was judged."""
        self.add_score(math.nan if iteration.score is None else iteration.score, judge.rows)
        if self.stop is None:
            self.note_findings(judge.diagnosis.findings)

    def add_score(self, score: float, rows: int) -> None:
        """Add the score after some rows of the log."""
        self.scores.append(score if math.isfinite(score) else None)
        self.shares.append(rows / self.rows)

    def note_findings(self, findings: Sequence[Finding]) -> None:
        """Take over what was found after the last part: a stop, or warnings."""
        share = self.shares[-1]
        for finding in findings:
            if finding.severity == "stop" and share < LATE:
                part = len(self.scores) - 1
                words = (finding.symptom, finding.evidence, finding.remedy)
                self.stop = ReplayedStop(*words, part, share)
                return
            if finding.severity != "note":
                self.warned[finding.symptom] = None

    def get_fields(self) -> dict[str, Any]:
        """Return the fields of the run."""
        scores, shares = tuple(self.scores), tuple(self.shares)
        return {"scores": scores, "shares": shares, "stop": self.stop, "warned": tuple(self.warned)}


@dataclass(frozen=True)
class _Length:
    """How long a finished run is."""

    rows: int
    reached: float
    """In environment steps, or in rows."""
    counts_steps: bool
    seconds: float | None


def _measure(parts: Iterable[list[Record]], path: Path, options: JudgingOptions) -> _Length:
    rows = LogRows(path, options.metric, options.rename)
    steps, seconds, fell = 0.0, 0.0, False
    for part in (*parts, None):
        for iteration in rows.add(part or [], final=part is None):
            reached = as_number(iteration.metrics.get("env_steps"))
            fell |= reached < steps  # they are counted anew, in each epoch, say
            steps = max(steps, reached)  # in this order a NaN changes nothing
            seconds += as_number(iteration.metrics.get("iteration_s", 0.0))
    counts_steps = steps > 0 and not fell
    length = steps if counts_steps else rows.rows_seen
    return _Length(rows.rows_seen, length, counts_steps, seconds if seconds > 0 else None)


def _read_in_parts(reader: LogReader) -> Iterator[list[Record]]:
    yield reader.read()
    while reader.behind:
        yield reader.read()
    yield read_rest(reader, has_records=True)


def _measure_bytes(reader: LogReader) -> int:
    return sum(file.stat().st_size for file in reader.files)


def _open_again(reader: LogReader) -> LogReader:
    return type(reader)(reader.files, reader.rename, reader.directory, reader.label)


def _name_kind(form: str, names: set[str]) -> str:
    """Return the format of a log, and the library that wrote it, where its names show that."""
    library = next((lib.title for lib in recognise_libraries(names) if lib.title), "")
    return f"{form} of {library}" if library and library not in form else form


def _find_env(path: Path) -> str:
    """Return the environment that a path names last; empty where it names none."""
    names = [match[0] for part in path.parts for match in ENV_ID.finditer(part)]
    return names[-1] if names else ""
