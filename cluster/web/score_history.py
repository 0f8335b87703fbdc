"""The scores of a trial, which rank it: all of them, because a few would rank it otherwise."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload


@dataclass(eq=False)
class ScoreHistory(Sequence[tuple[int, float]]):
    """Iterations with their scores, 16 bytes each: a log may have a million."""

    iterations: array[int] = field(default_factory=lambda: array("q"))
    scores: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.iterations, self.scores, strict=True)

    @overload
    def __getitem__(self, index: int) -> tuple[int, float]: ...
    @overload
    def __getitem__(self, index: slice) -> ScoreHistory: ...
    def __getitem__(self, index: int | slice) -> tuple[int, float] | ScoreHistory:
        if isinstance(index, slice):
            return ScoreHistory(self.iterations[index], self.scores[index])
        return self.iterations[index], self.scores[index]

    def append(self, iteration: int, score: float) -> None:
        """Add a score."""
        self.iterations.append(iteration)
        self.scores.append(score)

    def pop(self) -> None:
        """Remove the last score."""
        self.iterations.pop()
        self.scores.pop()
