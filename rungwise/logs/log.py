"""A finished run as rows: the result of every log reader."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from rungwise.health.history import History
from rungwise.health.improvement import keep_finite
from rungwise.health.metric_table import as_number
from rungwise.health.remedy import OtherLibrary

SHORTEST = 30
"""Iterations that a run of unknown budget is taken to have had at least. The rules shorten their
warm-ups for a small budget: of ten healthy rows three were then said to explain no variance."""
LATE = 0.1
"""Share of a training beyond which a first row belongs to one that was resumed."""


@dataclasses.dataclass(frozen=True)
class Log:
    """One run, or one trial of a sweep, with metrics named as in the catalogue."""

    name: str
    """Path relative to the one that was asked for."""
    format: str
    """Its format, e.g. ``SB3 progress.csv``."""
    rows: list[dict[str, Any]]
    """One row per iteration; a metric that was not logged is absent."""
    unmapped: list[str]
    """Numbers of the log that match no metric of the catalogue; where no return is known, those
    that look most like one first."""
    score: str = "return_mean"
    """Name of the metric that is the score."""
    mode: Literal["min", "max"] = "max"
    """Whether a smaller or a larger score is better."""
    budget: int | None = None
    """Iterations the run might have taken; None if the log does not say."""
    env: str = ""
    """The environment, where the log names it."""
    renamed: frozenset[str] = frozenset()
    """Names of the caller's renaming that are in the log."""
    note: str = ""
    """Why the log has no rows, or not all of those of its file; empty if it has them."""
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict[str, object])
    """All settings of an algorithm of ours; empty where unknown."""
    places: Sequence[int] = ()
    """The place of the record that each row was made of; empty for a run of ours."""
    other: OtherLibrary | None = None
    """The library that wrote it, for remedies in its words; None where it is not known."""
    empty_return: str = ""
    """A return that is NaN in every row, unless the log says that no episode has ended."""
    likely_return: str = ""
    """The unmapped column that looks most like a return; empty where the return is known."""

    @property
    def begins_late(self) -> bool:
        """Whether its first row is far into a training, as where a resume began a new file."""
        for name in ("iteration", "env_steps"):
            counts = keep_finite(np.array([as_number(row.get(name)) for row in self.rows]))
            if counts.size > 1:
                usual = 10 * float(np.median(np.diff(counts)))
                if counts[0] > max(LATE * counts[-1], usual) > 0:
                    return True
        return False

    @property
    def history(self) -> History:
        """The run as the rules judge it. A run of unknown budget is taken to have used it all."""
        last = int(as_number(self.rows[-1].get("iteration"))) if self.rows else 0
        budget, smoothed = self.budget or max(SHORTEST, last), self.score == "return_mean_100"
        return History(
            self.rows,
            budget,
            self.score,
            self.mode,
            is_smoothed=smoothed,
            settings=self.settings,
            other=self.other,
            has_ended=self.budget is None,
        )
