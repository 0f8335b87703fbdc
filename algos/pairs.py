"""Preference pairs: what was better beside what was worse, from the same state.

A pair is one row, which shuffling and sharding never cut: the better and the worse steps as Ragged
columns ``chosen.*`` and ``rejected.*`` (a single step each where candidates for one action were
compared, whole episodes where those from the same start were) and how much better, ``gap [N]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from algos.columns import Columns, Ragged
from algos.recording import read
from envs.validation import InputError

Array = np.ndarray[Any, Any]


def candidate_pairs(steps: Columns) -> Columns:
    """Steps [N] with ``candidates.* [N, K, ...]`` and ``judged [N, K]`` -> at most N pairs.

    The best candidate against the worst, where they differ.
    """
    judged: Array = steps["judged"]
    every = np.arange(len(judged))
    best, worst = judged.argmax(1), judged.argmin(1)
    gap = judged[every, best] - judged[every, worst]
    start = "candidates."
    tried = {name.removeprefix(start): steps[name] for name in steps if name.startswith(start)}
    seen = {name: steps[name] for name in steps if name.split(".")[0] == "obs"}
    pairs = {"gap": gap}
    for side, place in (("chosen", best), ("rejected", worst)):
        columns = seen | {name: column[every, place] for name, column in tried.items()}
        pairs |= {f"{side}.{name}": _single(column) for name, column in columns.items()}
    return Columns(pairs).select(np.flatnonzero(gap > 0))


def episode_pairs(episodes: Columns, returns: Array, starts: Array) -> Columns:
    """Episodes [E] of Ragged steps, returns and starts [E] -> a pair for each start.

    The best episode against the worst, where they differ.
    """
    order = np.lexsort((returns, starts))
    first = np.flatnonzero(np.diff(starts[order], prepend=starts[order][0] - 1))
    last = np.append(first[1:], len(order)) - 1
    worst, best = order[first], order[last]
    gap = returns[best] - returns[worst]
    differ = np.flatnonzero(gap > 0)
    chosen, rejected = episodes.select(best[differ]), episodes.select(worst[differ])
    return Columns(
        {f"chosen.{name}": chosen[name] for name in chosen}
        | {f"rejected.{name}": rejected[name] for name in rejected}
        | {"gap": gap[differ]}
    )


@lru_cache(maxsize=1)
def recorded_pairs(folder: str) -> Columns:
    """The pairs in recorded rollouts, of candidates where there are any, else of episodes.

    Raises:
        InputError: rollouts in which nothing began alike, or nothing differed.
    """
    rows = read(Path(folder))
    if "judged" in rows:
        pairs = candidate_pairs(rows)
    elif {"start", "episode", "reward"} <= set(rows):
        pairs = episode_pairs(*_episodes(rows))
    else:
        raise InputError(
            f"The rollouts in {folder} are no pairs: they have neither candidates nor episodes "
            "from the same start. Record them with an algorithm that collects groups (grpo)."
        )
    if not len(pairs):
        raise InputError(f"In the rollouts in {folder} nothing was better than anything else.")
    return pairs


def _episodes(steps: Columns) -> tuple[Columns, Array, Array]:
    """Recorded steps [N] -> episodes [E] of Ragged steps, their returns [E] and starts [E]."""
    order = np.argsort(steps["episode"], kind="stable")
    steps = steps.select(order)
    first = np.flatnonzero(np.diff(steps["episode"], prepend=steps["episode"][0] - 1))
    offsets = np.append(first, len(steps))
    kept = {name: steps[name] for name in steps if name not in ("reward", "done", "episode")}
    episodes = Columns({name: Ragged(column, offsets) for name, column in kept.items()})
    return episodes, np.add.reduceat(steps["reward"], first), steps["start"][first]


def _single(column: Array) -> Ragged:
    return Ragged(column, np.arange(len(column) + 1))


def both(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """The steps of all better halves and then of all worse ones, as one table of tensors."""
    start = "chosen."
    names = [name.removeprefix(start) for name in pairs if name.startswith(start)]
    return {
        name: torch.cat([pairs[f"chosen.{name}"].values, pairs[f"rejected.{name}"].values])
        for name in names
    }
