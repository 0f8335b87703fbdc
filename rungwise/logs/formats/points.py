"""Points (tag, step, value), logged each at its own pace, made into iterations."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rungwise.health.improvement import FloatArray
from rungwise.logs.formats.log_reader import LogReader
from rungwise.logs.formats.monitors import group_episodes
from rungwise.logs.log_record import Record
from rungwise.logs.names.catalogue_metric import CatalogueMetric, Library
from rungwise.logs.names.name_matching import match_metrics, recognise_libraries

Point = tuple[str, int, float]
"""Tag, step and value."""
Series = dict[str, dict[int, list[float]]]
"""Tag to step to what was logged there."""
EPISODIC = ("return_mean", "episode_length")
FEWEST_ALONE = 300
"""Episodes without any other metric after which a live log is taken to have only episodes: losses
come with the first update, which may be hundreds of short episodes after the start."""


class Points:
    """The points of a run that are part of no iteration yet.

    While the run is at work an iteration is complete when the next one has started: until then
    another of its metrics may be written. Points that were made into iterations are forgotten, so
    memory does not grow with the log.
    """

    def __init__(self, rename: Mapping[str, str]) -> None:
        """Start without any.

        Args:
            rename: names that the caller gives to those of the log.
        """
        self._rename = rename
        self._sources: dict[str, Series] = {}
        self._last: dict[str, int] = {}
        """Step of the last iteration that was returned, by source."""
        self._pace: set[str] = set()
        """Tags that set the pace in earlier iterations: an evaluation in between sets none."""
        self._libraries: list[Library] = []
        self._updates: dict[str, list[tuple[str, float]]] = {}
        """Tag and value of what was logged of updates since the last iteration, by source."""
        self._newest: dict[str, int] = {}
        """Step of the last iteration that was logged, by source, where updates have other steps."""
        self._has_steps: set[str] = set()
        self._unnumbered = Counter[tuple[str, str]]()
        """Points of a source and a tag so far, while no point of the source has had a step."""
        self._counts: bool | None = None
        """Whether steps are iterations; None before the first."""
        self._episodes = 0

    def add(self, source: str, points: Iterable[Point]) -> None:
        """Keep points.

        Args:
            source: the file. A later one, in alphabetical order, replaces what an earlier one has
                of the same tag from its first step on: a resume repeats steps.
            points: tag, step and value of each.
        """
        points = self._number(source, list(points))
        libraries = recognise_libraries({tag for tag, _, _ in points}) or self._libraries
        is_first, self._libraries = not self._libraries, libraries
        by_update = tuple(x.by_update for x in self._libraries if x.by_update)
        counters = {sign for x in self._libraries if x.by_update for sign in x.signs}
        series, last = self._sources.setdefault(source, {}), self._last.get(source)
        if is_first and by_update:
            # The first update comes before anything that shows which library it is.
            for tag in [tag for tag in series if tag.startswith(by_update)]:
                values = [value for of_step in series.pop(tag).values() for value in of_step]
                self._updates.setdefault(source, []).extend((tag, value) for value in values)
        for tag, step, value in points:
            if by_update and tag.startswith(by_update):
                self._updates.setdefault(source, []).append((tag, value))
                continue
            if tag in counters:
                self._newest[source] = step
                self._date_updates(source)
            # Too late for its iteration; one more of its own would seem to go back in time.
            if last is not None and step <= last and tag in self._pace:
                continue
            series.setdefault(tag, {}).setdefault(step, []).append(value)

    def _number(self, source: str, points: list[Point]) -> list[Point]:
        """Number the points of a source that were logged without a step, which is then 0."""
        if any(step for _, step, _ in points):
            self._has_steps.add(source)
        if source in self._has_steps:
            return points
        numbered: list[Point] = []
        for tag, _, value in points:
            numbered.append((tag, self._unnumbered[source, tag], value))
            self._unnumbered[source, tag] += 1
        return numbered

    def _date_updates(self, source: str) -> None:
        """Give the updates that wait the step of the newest iteration."""
        step = self._newest.get(source, 0)
        for tag, value in self._updates.get(source, ()):
            self._sources[source].setdefault(tag, {}).setdefault(step, []).append(value)
        self._updates[source] = []

    def take(self, final: bool) -> list[Record]:
        """Return the iterations that are complete, all of them at the end."""
        series = self._merge_sources(final)
        taken = match_metrics(series, self._rename)
        single = {tag for tag, metric in taken.items() if metric.per_episode}
        together = {t: v for t, v in series.items() if t in taken and t not in single}
        if self._pace & together.keys():
            together = {tag: v for tag, v in together.items() if tag in self._pace}
        # No shared step marks an iteration, so the episodes are grouped by their number.
        if single and not any(together.values()):
            return self._take_episodes(series, {taken[tag].name: tag for tag in single}, final)
        if final and not self._last:
            together = together or series  # without a known tag the values are still shown
        clock = _find_clock(together)
        if not final:
            clock = clock[:-1]
        if not clock:
            return []
        self._pace |= {tag for tag, values in together.items() if clock[-1] in values}
        due = {
            tag: {step: v for step, v in values.items() if final or step <= clock[-1]}
            for tag, values in series.items()
        }
        self._forget(clock[-1])
        if self._counts is None or not _are_consecutive(clock):
            # The step is whatever the tool passed; consecutive numbers from the start are hardly
            # environment steps.
            self._counts = clock[0] in (0, 1) and _are_consecutive(clock)
        named = [library.step for library in self._libraries if library.step != "env_steps"]
        return _fill(
            due, clock, taken, named[0] if named else "iteration" if self._counts else "env_steps"
        )

    def _merge_sources(self, final: bool) -> Series:
        """Return the points of all sources; of updates those of earlier iterations, or all."""
        series: Series = {}
        for source in sorted(self._sources):
            if final:
                self._date_updates(source)
            for tag, values in self._sources[source].items():
                # A resume may log at other steps than what it repeats.
                first = min(values, default=math.inf)
                earlier = series.get(tag, {})
                series[tag] = {step: v for step, v in earlier.items() if step < first} | values
        return series

    def _take_episodes(self, series: Series, tags: Mapping[str, str], final: bool) -> list[Record]:
        returns, lengths = (_flatten(series.get(tags.get(name, ""), {})) for name in EPISODIC)
        # From the first missing length on, each would be paired with another episode's return.
        if lengths.size != returns.size:
            lengths = np.full(returns.size, np.nan)
        if not final and (returns.size < FEWEST_ALONE or self._pace):
            return []
        self._forget(max((step for values in series.values() for step in values), default=0))
        records = group_episodes(returns, lengths, earlier=self._episodes)
        self._episodes += returns.size
        return records

    def _forget(self, step: int) -> None:
        for source, series in self._sources.items():
            self._last[source] = step
            for tag, values in series.items():
                series[tag] = {later: v for later, v in values.items() if later > step}


class PointsReader(LogReader):
    """A reader of points, which are made into iterations."""

    is_directory = True

    def _open(self) -> None:
        self._points = Points(self.rename)

    def _read_more(self, final: bool) -> list[Record]:
        self._read_points(final)
        return []

    @abstractmethod
    def _read_points(self, final: bool) -> None:
        """Add at most `limit` bytes of points, and set `behind` and `damage`: never both."""

    def _assemble(self, records: list[Record], final: bool) -> list[Record]:
        return self._points.take(final)


def _fill(
    series: Series, clock: list[int], taken: Mapping[str, CatalogueMetric], step_name: str
) -> list[Record]:
    """Return the iterations at the steps of the clock.

    What is logged more often (CleanRL's return of each episode) is averaged over the steps since
    the iteration before.
    """
    columns: list[dict[str, object]] = [{} for _ in clock]
    for tag, values in series.items():
        for at, step_values in _split_at(values, clock).items():
            # An unknown tag may be a counter, whose mean has no meaning: its last value is kept.
            columns[at][tag] = float(np.mean(step_values)) if tag in taken else step_values[-1]
            if tag in taken and taken[tag].per_episode and taken[tag].name == "return_mean":
                columns[at]["episodes"] = float(len(step_values))
    if step_name and "env_steps" not in {metric.name for metric in taken.values()}:
        for step, column in zip(clock, columns, strict=True):
            column[step_name] = float(step)
    return [Record(f"step {step}", column) for step, column in zip(clock, columns, strict=True)]


def _find_clock(together: Series) -> list[int]:
    """Return the steps of the iterations: those of most tags, and of tags that keep to them.

    The first row of SB3 has no losses yet; an evaluation now and then is no iteration.
    """
    if not together:
        return []
    counts = Counter(frozenset(values) for values in together.values() if values)
    if not counts:
        return []
    # The longest of equally frequent sets, because a metric that lacks rows is the exception.
    beat = max(counts, key=lambda steps: (counts[steps], len(steps)))
    kept = [steps for steps in counts if len(steps & beat) >= len(steps) / 2]
    return sorted(set[int]().union(*kept))


def _split_at(values: Mapping[int, list[float]], clock: Sequence[int]) -> dict[int, list[float]]:
    """Return by iteration what was logged since the one before; the rest goes to the last."""
    steps = sorted(values)
    parts: dict[int, list[float]] = {}
    # The left side: what is logged at the step of an iteration belongs to it, not to the next one.
    for step, at in zip(steps, np.searchsorted(clock, steps).tolist(), strict=True):
        parts.setdefault(min(at, len(clock) - 1), []).extend(values[step])
    return parts


def _are_consecutive(steps: Sequence[int]) -> bool:
    return steps[-1] - steps[0] == len(steps) - 1


def _flatten(values: Mapping[int, list[float]]) -> FloatArray:
    return np.array([value for step in sorted(values) for value in values[step]])
