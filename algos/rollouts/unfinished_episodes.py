"""Episodes that have not ended, in a mean that would otherwise be one of the lucky short ones.

A policy that goes in circles (CliffWalking has no time limit) finishes only those episodes that
happen to end soon, and their mean return says nothing of the others. An episode that has already
lasted much longer than those that ended is no better than its return so far suggests, so that
return counts; an episode of usual length is waited for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LONG = 4.0
"""Times the mean length of the last episodes from which one that has not ended counts: if they end
by chance at any step, one of fifty lasts so long."""
FEW = 20
"""Finished episodes below which any longer one counts: they are the first, so the shortest."""


def measure_unfinished(
    running: Sequence[tuple[Array, Array]], finished_lengths: Collection[float]
) -> dict[str, float]:
    """Return how many long episodes have not ended, and their mean return so far.

    Those whose return is not finite are left out, as of an episode that never ends it stays so.

    Args:
        running: return and steps so far ``[B]`` of the copies of each runner.
        finished_lengths: lengths of the last finished episodes; without any nothing is long.

    >>> measure_unfinished([(np.array([-9.0, -1.0]), np.array([9, 1]))], [3, 5])
    {'unfinished_episodes': 1, 'unfinished_return_mean': -9.0}
    """
    if not finished_lengths:
        return {}
    returns, lengths = (np.concatenate(parts) for parts in zip(*running, strict=True))
    times = LONG if len(finished_lengths) >= FEW else 1.0
    long = np.isfinite(returns) & (lengths > times * np.mean(list(finished_lengths)))
    count = int(long.sum())
    mean = {"unfinished_return_mean": float(returns[long].mean())} if count else {}
    return {"unfinished_episodes": count} | mean
