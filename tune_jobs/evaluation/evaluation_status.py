"""The progress of an evaluation: shown while it runs, and never logged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tune_jobs.formatting import count
from tune_jobs.run_log.events import EvaluationRow, Row


@dataclasses.dataclass(frozen=True)
class EvaluationStatus:
    """Episodes that one player has finished so far."""

    trial: str
    player: str
    """``policy`` (sampled), ``greedy``, ``random``, or a simple rule."""
    episodes: int
    of: int
    """The most that are played; time may end it sooner."""

    def __str__(self) -> str:
        return f"evaluating: {self.player} {self.episodes} of {self.of} episodes"


Listener = Callable[[Row | EvaluationStatus], None]
"""Called with every row of a run, and with the progress of its evaluation."""


def format_episode_count(row: EvaluationRow, what: str) -> str:
    """Format the number of played episodes and, where time was short, of those planned."""
    played = count(row.episodes, what)
    if row.episodes >= row.most:
        return played
    return f"{played} (of {row.most}: a tenth of the training's time; more with --episodes)"
