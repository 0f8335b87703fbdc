"""View of one run for the page: its event rows, read while they are written, and thinned.

A log may have a million result rows, more than a screen can show. Of a result row only the trial,
iteration, score and offset in the file are stored, and of many results only the score and what a
curve needs; the rest of a row is read from the file on request. So a large log opens quickly, and a
long run does not fill the memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from cluster.web.score_history import ScoreHistory
from rungwise.logs.formats.tail import Tail
from rungwise.run_log.driver_lock import describe_lost_driver, make_lost_end
from rungwise.run_log.event_log import UNREADABLE, decode_row_or_none, read_result_head
from rungwise.run_log.events import JobRow, ResultRow, Row
from rungwise.run_log.log_file import open_log, open_log_and_state
from rungwise.run_log.outcome import Outcome, OutcomeBuilder
from rungwise.run_log.trial_outcome import TrialOutcome, to_finite_float
from rungwise.validation import InputError

CHUNK_BYTES = 4 * 2**20
"""Bytes read at once; other requests are served between two chunks."""
MAX_RESULTS = 1000
"""Stored results of a trial above which half of them are dropped."""
MAX_CACHED_ROWS = 30_000
"""Whole rows in memory (a few kB each), so that a growing curve is not read again."""
T = TypeVar("T")


class ResultPoint(NamedTuple):
    """The part of a result row that is stored, and the position of the row in the file."""

    iteration: int
    score: float
    """NaN if there is none."""
    seconds: float
    env_steps: int
    offset: int
    length: int


class CurvePoint(NamedTuple):
    """One point of a curve, with its place on each axis that it may be drawn over."""

    iteration: int
    env_steps: int
    seconds: float
    value: float | None
    """None where the metric is missing or not finite."""


@dataclass
class TrialResults:
    """The results of one trial: all scores, and the points of its curves."""

    points: list[ResultPoint] = field(default_factory=list[ResultPoint])
    version: int = 0
    """Version of the view at the last result."""
    curves: dict[tuple[str, int], list[CurvePoint]] = field(
        default_factory=dict[tuple[str, int], list[CurvePoint]]
    )
    """Thinned curves by metric and size, until the next result: ten pages may draw them."""
    drawn: dict[tuple[str, int], tuple[object, Any]] = field(
        default_factory=dict[tuple[str, int], tuple[object, Any]]
    )
    """The same as they were drawn last, each after the way in which it was."""
    _scores: ScoreHistory = field(default_factory=ScoreHistory)
    _is_read: bool = False
    """Whether a reader holds those scores."""
    _range: tuple[float, float] | None = None

    @property
    def scores(self) -> ScoreHistory:
        """The iterations with a finite score, and that score: another object once they change."""
        self._is_read = True
        return self._scores

    @property
    def score_range(self) -> tuple[float, float] | None:
        """The lowest and the highest finite score; None without any."""
        if self._range is None and self._scores:
            self._range = min(self._scores.scores), max(self._scores.scores)
        return self._range

    def add_point(self, point: ResultPoint) -> None:
        """Add a result; after a resume, a repeated iteration replaces all from there on.

        A result of iteration 0, what precedes training, is replaced by any later one.
        """
        self._range = None
        self.curves.clear()
        self.drawn.clear()
        if self._is_read:  # by another thread, perhaps
            self._scores, self._is_read = self._scores[:], False
        while self._scores and not 0 < self._scores[-1][0] < point.iteration:
            self._scores.pop()
        if math.isfinite(point.score):
            self._scores.append(point.iteration, point.score)
        while self.points and not 0 < self.points[-1].iteration < point.iteration:
            self.points.pop()
        self.points.append(point)
        # Half are dropped at once: a pass over all points then happens at every 500th result only.
        if len(self.points) > MAX_RESULTS:
            self.points = thin_points(self.points, MAX_RESULTS // 2)

    def find_last_scored(self) -> ResultPoint | None:
        """Return the last stored result with a score, which tables show until the next one."""
        return next((p for p in reversed(self.points) if not math.isnan(p.score)), None)


def thin_points(points: list[ResultPoint], max_points: int) -> list[ResultPoint]:
    """Return about ``max_points`` points: the first, the last, and the extremes of even stretches.

    Spikes are what a reader looks for in a curve, so thinning must not remove them. A point without
    a finite score survives only in a stretch that has no other. The last score survives as well,
    because tables show it.
    """
    if len(points) <= max_points:
        return points
    stretches, size = max(1, (max_points - 2) // 2), len(points) - 2
    # Two points per stretch: its lowest and its highest.
    last = (i for i in range(len(points) - 1, -1, -1) if not math.isnan(points[i].score))
    chosen = {0, len(points) - 1, next(last, 0)}
    for stretch in range(stretches):
        indices = range(1 + stretch * size // stretches, 1 + (stretch + 1) * size // stretches)
        scored = [i for i in indices if math.isfinite(points[i].score)] or list(indices[:1])
        if scored:
            chosen.add(min(scored, key=lambda i: points[i].score))
            chosen.add(max(scored, key=lambda i: points[i].score))
    return [points[i] for i in sorted(chosen)]


class RunView:
    """One run, up to the position that its log has been read to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "events.jsonl"
        self.version = 0
        """Increases whenever something new was read."""
        self.lost = ""
        """Description of a driver that died; empty if none did."""
        self._tail = Tail(self.path, open_log_and_state)
        self._restart()

    def _restart(self) -> None:
        self.read_to = 0
        self.refusal = ""
        """Why its rows cannot be shown, if a later version of Rungwise wrote them."""
        self.job: JobRow | None = None
        self.other_rows: list[tuple[int, Row]] = []
        """All rows except results, each with its offset in the file."""
        self.trial_results: dict[str, TrialResults] = {}
        self._rows: dict[int, Row | None] = {}
        self._forget_outcome()
        self._trials: dict[str, tuple[TrialOutcome, TrialOutcome, dict[object, Any]]] = {}
        """The outcome of each trial, the same with all scores, and what was built of that."""
        self._built: tuple[int, dict[object, Any]] = (-1, {})

    def _forget_outcome(self) -> None:
        self._builder = OutcomeBuilder()
        """Holds what was read up to the last outcome: of results only the last of each trial."""
        self._taken_to, self._taken_rows, self._taken_version = 0, 0, -1

    @property
    def read_fraction(self) -> float:
        """Return the share of the log that has been read, from 0 to 1."""
        return self.read_to / self._tail.size if self._tail.size else 1.0

    def refresh(self) -> bool:
        """Read the next part of the log, and return whether there is more to read."""
        if (lost := describe_lost_driver(self.directory)) != self.lost:
            self.lost, self.version = lost, self.version + 1
            self._forget_outcome()
        try:
            data = self._tail.read(CHUNK_BYTES)
        # Its run was deleted meanwhile, or a part is damaged: the page keeps what it has.
        except (OSError, InputError):
            return False
        if self._tail.replaced:  # another run was copied over this one
            self._restart()
            self.version += 1
        # The rest of the last line may not be written yet.
        complete = data[: data.rfind(b"\n") + 1]
        self._tail.keep(data[len(complete) :])
        for line in complete.splitlines(keepends=True):
            try:
                self._add_line(line, self.read_to)
            except InputError as error:
                self.refusal = str(error)
            except UNREADABLE:  # one damaged line costs no other
                pass
            self.read_to += len(line)
        if complete:
            self.version += 1
        return self._tail.behind

    def _add_line(self, line: bytes, offset: int) -> None:
        if head := read_result_head(line):
            self._add_result(head.trial, ResultPoint(*head[1:], offset, len(line)))
            return
        if (row := decode_row_or_none(line)) is None:
            return  # left by a killed writer; `rungwise report` warns of it
        if isinstance(row, ResultRow):  # written by another tool, in another field order
            score = math.nan if row.score is None else row.score
            head = (row.iteration, score, row.seconds, row.env_steps)
            self._add_result(row.trial, ResultPoint(*head, offset, len(line)))
            return
        if isinstance(row, JobRow):
            self.job = row
        self.other_rows.append((offset, row))

    def _add_result(self, trial: str, point: ResultPoint) -> None:
        results = self.trial_results.setdefault(trial, TrialResults())
        results.add_point(point)
        results.version = self.version + 1  # the version once this part has been read

    def build_outcome(self, full_trial: str = "") -> Outcome:
        """Return the outcome so far, with the last results of each trial.

        Its scores are those of all results.

        Args:
            full_trial: id of a trial that gets all of its stored results.

        Raises:
            InputError: no job row has been read yet.
        """
        if self.lost:  # the end that the log lacks comes after all of its rows
            self._forget_outcome()
        rows = self.other_rows[self._taken_rows :]
        new = {
            trial: sorted({*results.points[-1:], *filter(None, [results.find_last_scored()])})
            for trial, results in self.trial_results.items()
            if results.version > self._taken_version
        }
        # All at once: rows that are next to each other in the log are read together.
        found = {p.offset: row for p, row in self.load_rows([p for ps in new.values() for p in ps])}
        for trial, points in new.items():
            loaded = [(p.offset, found[p.offset]) for p in points if p.offset in found]
            self._builder.set_results(trial, [row for at, row in loaded if at < self._taken_to])
            rows += [(at, row) for at, row in loaded if at >= self._taken_to]
        # An outcome depends on the order of rows: a result after an end continues the trial.
        in_order = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
        if self.lost:
            in_order += make_lost_end(self.directory, in_order)
        for row in in_order:
            self._builder.add(row)
        self._taken_to, self._taken_version = self.read_to, self.version
        self._taken_rows = len(self.other_rows)
        outcome = self._builder.build_outcome()
        trials = tuple(map(self._add_scores, outcome.trials))
        if results := self.trial_results.get(full_trial):
            full = tuple(row for _, row in self.load_rows(results.points))
            trials = tuple(replace(t, results=full) if t.id == full_trial else t for t in trials)
        return replace(outcome, trials=trials)

    def build_outcome_of_best(self) -> Outcome:
        """Return the outcome with all stored results of the best trial; errors as above."""
        best = self.outcome.best if self.outcome else None
        return self.build_outcome(full_trial=best.id if best else "")

    def _add_scores(self, trial: TrialOutcome) -> TrialOutcome:
        """Give a trial the scores of all results, as the same object until it changes."""
        results = self.trial_results.get(trial.id)
        scores = results.scores if results else trial.scores
        base, known, _ = self._trials.get(trial.id, (None, None, None))
        # The rank of a trial is computed from all of its scores, and remembered by the object.
        if known is None or trial is not base or known.scores is not scores:
            known = replace(trial, scores=scores)
            self._trials[trial.id] = trial, known, {}
        return known

    def build_of(self, trial: TrialOutcome, key: object, build: Callable[[], T]) -> T:
        """Build what shows a trial of the latest outcome, and keep it until that trial changes."""
        _, known, built = self._trials.get(trial.id, (None, None, {}))
        if known is not trial:
            return build()
        if key not in built:
            built[key] = build()
        return built[key]

    @property
    def outcome(self) -> Outcome | None:
        """The outcome so far, built once for each version; None without a row of the job."""
        if self.job is None:
            return None
        return self.build_once("outcome", self.build_outcome)

    def build_once(self, key: object, build: Callable[[], T]) -> T:
        """Build what all readers of this version see; ``key`` names it."""
        if self._built[0] != self.version:
            self._built = self.version, {}
        built = self._built[1]
        if key not in built:
            built[key] = build()
        return built[key]

    def list_metrics(self) -> list[str]:
        """List the metrics that some trial reports as a single number."""
        names: set[str] = set()
        for trial in self.outcome.trials if self.outcome else ():
            if trial.results:
                values = trial.results[-1].metrics
                # None stands for a number that was not finite: the metric can still be drawn.
                more = values.keys() - names
                names |= {n for n in more if isinstance(values[n], int | float | None)}
        return sorted(names)

    def read_curve(self, trial: str, metric: str, max_points: int) -> list[CurvePoint]:
        """Return a metric of a trial, thinned; without a name the score."""
        results = self.trial_results.get(trial)
        if results is None:
            return []
        if (metric, max_points) in results.curves:
            return results.curves[metric, max_points]
        points = thin_points(results.points, max_points)
        if metric == "":
            pairs = [(p, p.score if math.isfinite(p.score) else None) for p in points]
        else:
            rows = self.load_rows(points)
            pairs = [(p, to_finite_float(row.metrics.get(metric))) for p, row in rows]
        curve = [CurvePoint(p.iteration, p.env_steps, p.seconds, value) for p, value in pairs]
        results.curves[metric, max_points] = curve
        return curve

    def load_rows(self, points: list[ResultPoint]) -> list[tuple[ResultPoint, ResultRow]]:
        """Return some points with their whole rows, without those that are damaged."""
        # Offsets identify rows, because the log only grows; a shorter one empties the cache.
        missing = [point for point in points if point.offset not in self._rows]
        if missing:
            with open_log(self.path) as file:
                for point in sorted(missing, key=lambda point: point.offset):
                    file.seek(point.offset)
                    self._rows[point.offset] = decode_row_or_none(file.read(point.length))
        rows = [
            (point, row)
            for point in points
            if isinstance(row := self._rows[point.offset], ResultRow)
        ]
        # Emptied as a whole: the next request reads the rows of its curves again, and the cache
        # need not record when each row was used.
        if len(self._rows) > MAX_CACHED_ROWS:
            self._rows = {}
        return rows
