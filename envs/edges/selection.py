"""From an action to chosen edges.

Two kinds of action. ``latent``: a few numbers that weigh the edge scores, the same at any size,
so that exploration moves all edges together. ``edges``: for each decision (a row, or the whole
graph) an ordered list of picks. Every action of either space is legal.
"""

from __future__ import annotations

import numpy as np

from envs.contract.pytree import Bools, Floats, Ints

# At the ends of the action one score outweighs another by exp(4), about 55 times.
_SHARPNESS = 2.0


def weights(latent: Floats) -> Floats:
    """Return the shares [4] of the scores in a latent action [4 or 5] within [-1, 1]."""
    # Clipped, because a Gaussian policy samples outside of the box.
    raised = np.exp(_SHARPNESS * np.clip(latent[:4], -1, 1))
    return raised / raised.sum()


def threshold(latent: Floats) -> float:
    """Return the score in [-1, 0] from which an edge is strong, from an action [5].

    -1 keeps every edge, +1 only the strongest. Squared, so that what is of use lies in the middle:
    0 asks for .18 of the strongest (a score of -1/4; PyAMG's usual .25 is -.2).
    """
    return -(((1 - float(np.clip(latent[4], -1, 1))) / 2) ** 2)


def relative(score: float) -> float:
    """Convert a score in [-1, 0] to the fraction of the strongest edge of its row."""
    return float(1e3**score)


def spacing(latent: Floats) -> float:
    """Return the overlap allowed in a batch, from the last number of an action [5].

    -1 does not mind, 0 allows a tenth, +1 a hundredth.
    """
    return float(10.0 ** -(1 + np.clip(latent[4], -1, 1)))


def strong(scores: Floats, latent: Floats) -> Bools:
    """Return which edges [E] are strong, from scores [E, 4] and a latent action [5]."""
    # The shares add up to 1 but for rounding.
    return scores @ weights(latent) >= threshold(latent) - 1e-9


def strongest(priority: Floats, starts: Ints, k: int, free: Bools | None = None) -> Bools:
    """Choose the k edges of the highest priority [E] in each decision; all if fewer.

    Args:
        priority: [E], ties go to the first.
        starts: [R + 1], where each decision's edges begin.
        k: how many to choose.
        free: [E], false where an edge must not be chosen.
    """
    return _chosen(best_picks(priority, starts, k, free), starts)


def best_picks(priority: Floats, starts: Ints, k: int, free: Bools | None = None) -> Ints:
    """Return the same choice as picks [R, k], best first; -1 where there is no further edge."""
    decision = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    taken = np.zeros(len(priority)) if free is None else ~free
    # Sorted by decision, then free before taken, then by priority; lexsort is stable, so ties go to
    # the first.
    order = np.lexsort((-priority, taken, decision))
    rank = np.arange(len(order)) - starts[decision[order]]
    good = (rank < k) & (taken[order] == 0)
    picks = np.full((len(starts) - 1, k), -1)
    picks[decision[order][good], rank[good]] = order[good] - starts[decision[order][good]]
    return picks


def select_picks(picks: Ints, starts: Ints, free: Bools | None = None) -> Bools:
    """Return the edges [E] that picks [R, k] name: k in each decision, all if fewer.

    A pick is the number of an edge within its decision. It is counted modulo their number, and one
    that is taken gives way to the next that is free: so any whole numbers are a legal action.
    """
    degree = np.diff(starts)
    taken = np.zeros(starts[-1], np.bool_) if free is None else ~free
    chosen = np.zeros_like(taken)
    # reduceat returns the element itself for an empty segment; the appended False keeps the last
    # index valid, and the mask sets empty rows to 0.
    remaining = degree - np.add.reduceat(np.append(taken, False), starts[:-1]) * (degree > 0)
    # One pick of every row at a time: rows are independent, picks within a row are not.
    for column in picks.T:
        rows = np.flatnonzero(remaining > 0)
        remaining[rows] -= 1
        slot = column[rows] % degree[rows]
        # Linear probing; it ends because rows with nothing left were dropped before.
        while len(rows):
            edge = starts[rows] + slot
            open_ = ~taken[edge]
            taken[edge[open_]] = chosen[edge[open_]] = True
            rows, slot = rows[~open_], (slot[~open_] + 1) % degree[rows[~open_]]
    return chosen


def _chosen(picks: Ints, starts: Ints) -> Bools:
    chosen = np.zeros(starts[-1], np.bool_)
    rows, _ = np.nonzero(picks >= 0)
    chosen[starts[rows] + picks[picks >= 0]] = True
    return chosen
