"""A decision of successive halving about one trial, as data; its words are in ``sentences.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["pause", "reopen", "promote", "stop"]
"""``reopen`` is the pause of a trial that had ended at its rung before other trials joined."""


class Entry(NamedTuple):
    """A trial at a rung; the better one sorts first."""

    key: tuple[float, float, int]
    """Stage and score, with the signs that make low good, and the number of its arrival."""
    trial: str
    iteration: int
    """Iteration of its entry; later than the rung's if it had no score there."""
    score: float
    error: float | None
    """Standard error of the score; None where it is not known."""
    stage: float
    """Stage of a curriculum; scores of two stages do not compare."""


@dataclass(frozen=True)
class Verdict:
    """A decision about a trial at a rung, and the figures that it follows from."""

    kind: Kind
    bracket: int
    """Number of the bracket; 0 where there is only one."""
    rung: int
    rank: int
    of: int
    """Trials that have a score at the rung."""
    expected: int
    """Trials that may still come, where the decision considers them; else 0."""
    allowed: int
    """How many of the best are promoted; 0 while there are too few to compare."""
    entry: Entry
    """The trial with its score."""
    cut: Entry | None
    """The last of the best ``allowed``; None where the trial is not compared with it."""
