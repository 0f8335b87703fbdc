"""The episode budget of an evaluation: a requested number, or what a time limit allows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator

from tune_jobs.run_log.events import EndRow, JobRow, ResultRow, Row

SHARE = 0.1
"""Fraction of the training time for the evaluation at its end, where no number is requested."""
LEAST = 20
"""Episodes that are always played in a batched world, where 20 take hardly longer than one."""
LEAST_SINGLE = 2
"""The same in any other environment, where each copy takes its own time (20 episodes of 1,000 steps
of 2 ms by three players take two minutes): the fewest that have a standard error."""


def plan_batches(
    episodes: int,
    seconds: float = math.inf,
    most: int | None = None,
    least: int = LEAST,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[tuple[int, int]]:
    """Yield the first episode and the size of each batch until episodes or time are used up.

    With a limit of time batches double: a whole number of small ones measures what an episode
    takes, and larger ones cost less an episode where copies advance together. Where time allows
    all episodes the batches are the same in every run, and so are the episodes.

    Args:
        episodes: how many there are at most.
        seconds: how long all batches together may take, ``least`` episodes apart.
        most: the largest batch.
        least: episodes that are always played, which the first batch is.
        clock: seconds that have passed.
    """
    begun, done = clock(), 0
    while done < episodes:
        count, spent = min(episodes - done, most or episodes), clock() - begun
        if math.isfinite(seconds):
            # As many as all batches before together: the size doubles from the least.
            count = min(count, max(done, least))
        affordable = (seconds - spent) / spent * done if done and spent > 0 else math.inf
        if affordable < count:
            # The last one: batches of another size would be other episodes of a sampled policy.
            if affordable >= least:
                yield done, int(affordable)
            return
        yield done, count
        done += count


def sum_training_seconds(rows: Iterable[Row]) -> float:
    """Return the seconds that a run has trained: each session from its start to its last result."""
    # By the clock of the log, without the pauses between sessions. A killed session has no end row,
    # so its last result or trial end stands for it.
    total, begun, last = 0.0, 0.0, 0.0
    for row in rows:
        if isinstance(row, JobRow):
            total, begun, last = total + last - begun, row.time, row.time
        elif isinstance(row, ResultRow | EndRow):
            last = max(last, row.time)
    return total + last - begun
