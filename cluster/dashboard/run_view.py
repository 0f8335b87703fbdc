"""What the page knows of a run: its event rows, read as they come and thinned as they grow.

A log may have a million result rows, most of which nobody can see on a screen. Of a result row only
its trial, iteration, score and place in the file are kept, and of many results only those that a
curve needs; the rest of a row is read from the file when it is asked for. So a large log opens
quickly, and a long run does not fill the memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tune_jobs.run_log.driver_lock import describe_lost_driver, make_lost_end
from tune_jobs.run_log.events import (
    CheckpointRow,
    JobRow,
    ResultRow,
    Row,
    decode_row,
    decode_row_or_none,
    read_result_head,
)
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.trial_outcome import to_finite_float

CHUNK = 4 * 2**20
"""Bytes read in one go, between which others get their turn."""
MOST = 1000
"""Results of a trial above which half of them are dropped."""
HELD = 30_000
"""Whole rows kept in memory (a few kB each), so that a curve that grows is not read again."""


class ResultPoint(NamedTuple):
    """A result row: what curves are thinned by, and where the rest of it is."""

    iteration: int
    score: float
    """NaN where there is none."""
    offset: int
    length: int


@dataclass
class TrialResults:
    """The results of one trial."""

    points: list[ResultPoint] = field(default_factory=list[ResultPoint])
    checkpoints: set[int] = field(default_factory=set[int])
    """Iterations."""
    version: int = 0
    """That of the board when a result last came."""

    def add_point(self, point: ResultPoint) -> None:
        """Take a result; one that a resume repeats replaces those from there on."""
        while self.points and self.points[-1].iteration >= point.iteration:
            self.points.pop()
        self.points.append(point)
        if len(self.points) > MOST:
            self.points = thin_points(self.points, MOST // 2)

    def find_best_checkpointed(self, mode: str) -> ResultPoint | None:
        """Its best result that has a checkpoint, as far as it was not thinned away."""
        sign = 1 if mode == "max" else -1
        kept = [p for p in self.points if p.iteration in self.checkpoints and p.score == p.score]
        return max(kept, key=lambda p: sign * p.score, default=None)


def thin_points(points: list[ResultPoint], max_points: int) -> list[ResultPoint]:
    """About so many of the points: the lowest and highest of even stretches, first and last.

    A spike is what one looks for in a curve, so it survives. A point without a finite score does if
    its stretch has no other.
    """
    if len(points) <= max_points:
        return points
    stretches, size = max(1, (max_points - 2) // 2), len(points) - 2
    kept = {0, len(points) - 1}
    for place in range(stretches):
        indices = range(1 + place * size // stretches, 1 + (place + 1) * size // stretches)
        scored = [i for i in indices if math.isfinite(points[i].score)] or list(indices[:1])
        if scored:
            kept.add(min(scored, key=lambda i: points[i].score))
            kept.add(max(scored, key=lambda i: points[i].score))
    return [points[i] for i in sorted(kept)]


class RunView:
    """One run, as far as its log has been read."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "events.jsonl"
        self.version = 0
        """Grows whenever something new was read."""
        self.lost = ""
        """What is known of a driver that died."""
        self._restart()

    def _restart(self) -> None:
        self.read_to = self.size = 0
        self.job: JobRow | None = None
        self.other_rows: list[tuple[int, Row]] = []
        """All rows but results, each with its place in the file."""
        self.trial_results: dict[str, TrialResults] = {}
        self._rows: dict[int, ResultRow] = {}

    @property
    def read_fraction(self) -> float:
        """How much of the log has been read, from 0 to 1."""
        return self.read_to / self.size if self.size else 1.0

    def refresh(self) -> bool:
        """Read the next part of the log; whether there is more to read at once."""
        if (lost := describe_lost_driver(self.directory)) != self.lost:
            self.lost, self.version = lost, self.version + 1
        try:
            with self.path.open("rb") as file:
                self.size = file.seek(0, 2)
                if self.size < self.read_to:  # another run was copied over this one
                    self._restart()
                    self.size = file.seek(0, 2)
                    self.version += 1
                more = self._read(file)
        except OSError:
            return False
        return more

    def _read(self, file: BinaryIO) -> bool:
        file.seek(self.read_to)
        chunk = file.read(CHUNK)
        if b"\n" not in chunk:  # at most the beginning of a line, unless it is a very long one
            chunk += file.readline()
        complete = chunk[: chunk.rfind(b"\n") + 1]
        for line in complete.splitlines(keepends=True):
            self._take(line, self.read_to)
            self.read_to += len(line)
        if complete:
            self.version += 1
        return bool(complete) and self.read_to < self.size

    def _take(self, line: bytes, offset: int) -> None:
        if head := read_result_head(line):
            point = ResultPoint(head.iteration, head.score, offset, len(line))
            self._add(head.trial, point)
            return
        if (row := decode_row_or_none(line)) is None:
            return  # what a killed writer left; `report` names it
        if isinstance(row, ResultRow):  # written by another tool, with its fields in another order
            score = math.nan if row.score is None else row.score
            point = ResultPoint(row.iteration, score, offset, len(line))
            self._add(row.trial, point)
            return
        if isinstance(row, JobRow):
            self.job = row
        if isinstance(row, CheckpointRow):
            self.trial_results.setdefault(row.trial, TrialResults()).checkpoints.add(row.iteration)
        self.other_rows.append((offset, row))

    def _add(self, trial: str, point: ResultPoint) -> None:
        course = self.trial_results.setdefault(trial, TrialResults())
        course.add_point(point)
        course.version = self.version + 1  # the one that holds when this part has been read

    def build_outcome(self, full_trial: str = "") -> Outcome:
        """What the run came to so far, each trial with its last result and its best checkpoint's.

        Args:
            full_trial: a trial that is to have all of its results that were kept.

        Raises:
            InputError: no job row has been read yet.
        """
        rows = list(self.other_rows)
        mode = self.job.mode if self.job else "max"
        for trial, course in self.trial_results.items():
            points = course.points if trial == full_trial else course.points[-1:]
            # Which checkpoint is a trial's result hangs on the score that it was taken at.
            best = course.find_best_checkpointed(mode)
            points = sorted({*points, best} if best else points)
            rows += zip((p.offset for p in points), self.load_rows(points), strict=True)
        in_order = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
        return Outcome.from_rows(
            in_order + (make_lost_end(self.directory, in_order) if self.lost else [])
        )

    def get_curve(self, trial: str, metric: str, max_points: int) -> list[tuple[int, float | None]]:
        """A metric by iteration, thinned; None where it is missing or not finite."""
        course = self.trial_results.get(trial)
        if course is None:
            return []
        points = thin_points(course.points, max_points)
        if metric == "":
            return [(p.iteration, p.score if math.isfinite(p.score) else None) for p in points]
        rows = self.load_rows(points)
        return [(row.iteration, to_finite_float(row.metrics.get(metric))) for row in rows]

    def load_rows(self, points: list[ResultPoint]) -> list[ResultRow]:
        """The whole rows of some points."""
        missing = [point for point in points if point.offset not in self._rows]
        if missing:
            with self.path.open("rb") as file:
                for point in missing:
                    file.seek(point.offset)
                    row = decode_row(file.read(point.length))
                    assert isinstance(row, ResultRow)  # noqa: S101
                    self._rows[point.offset] = row
        asked = [self._rows[point.offset] for point in points]
        if len(self._rows) > HELD:
            self._rows = {}
        return asked
