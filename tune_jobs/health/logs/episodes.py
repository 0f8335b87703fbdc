"""SB3's monitor files: one line per episode, grouped into iterations of equal size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from envs.validation import InputError
from tune_jobs.health.history import as_number
from tune_jobs.health.improvement import FloatArray
from tune_jobs.health.logs.tables import read_csv
from tune_jobs.health.logs.translation import Record

FEWEST = 5
"""Minimum number of episodes per iteration: the mean of fewer is mostly noise."""
ROWS = 100
"""Maximum number of iterations that a long file is grouped into."""


def read_monitors(paths: Sequence[Path]) -> list[Record]:
    """The episodes of all environments of one run, grouped in the order in which they finished.

    Raises:
        InputError: if a file has not the columns r, l and t.
    """
    return group_episodes(*_finished(paths))


def add_episode_returns(records: Sequence[Record], paths: Sequence[Path]) -> list[Record]:
    """SB3's own lines with the return of the episodes that finished since the line before.

    SB3 logs a moving average over 100 episodes, in which noise looks like a trend. Monitors whose
    steps are not those of the run (of its evaluations, say) are left alone.
    """
    returns, lengths = _finished(paths)
    clock = [as_number(record.values.get("time/total_timesteps")) for record in records]
    steps = np.cumsum(lengths)
    # Monitors of the training cover most of the run's steps; those of evaluations far fewer.
    if not clock or not returns.size or not clock[-1] / 2 < steps[-1] <= clock[-1]:
        return list(records)
    bounds = [0, *np.searchsorted(steps, clock, side="right").tolist()]
    found: list[Record] = []
    for record, (first, last) in zip(records, pairwise(bounds), strict=True):
        values = dict(record.values) | {"episodes": float(max(0, last - first))}
        if last > first:
            values["return_mean"] = float(returns[first:last].mean())
        found.append(Record(record.location, values))
    return found


def _finished(paths: Sequence[Path]) -> tuple[FloatArray, FloatArray]:
    """Return the returns and lengths [E] of the episodes in the order in which they finished."""
    found: list[tuple[float, float, float]] = []
    for path in paths:
        start = _start(path)
        for record in read_csv(path):
            r, length, t = (record.values.get(name) for name in "rlt")
            if not isinstance(r, float) or not isinstance(length, float):
                raise InputError(
                    f"{path}, {record.location} has no number for the return r and the length l."
                )
            found.append((start + as_number(t if t is not None else 0.0), r, length))
    # The times in a file count from its own start, so they are comparable only with it added.
    found.sort(key=lambda episode: episode[0])
    returns, lengths = (np.array([episode[i] for episode in found]) for i in (1, 2))
    return returns, lengths


def group_episodes(returns: FloatArray, lengths: FloatArray) -> list[Record]:
    """Group returns and lengths [E] into one record per iteration."""
    size = max(FEWEST, -(-returns.size // ROWS))
    groups = max(1, returns.size // size) if returns.size else 0
    # Groups of nearly equal size, as a short last group would have a noisier mean.
    bounds = np.linspace(0, returns.size, groups + 1).round().astype(int).tolist()
    steps = np.cumsum(lengths)
    records: list[Record] = []
    for first, last in pairwise(bounds):
        r = returns[first:last]
        values = {
            "return_mean": float(r.mean()),
            "return_std": float(r.std()),
            "return_min": float(r.min()),
            "return_max": float(r.max()),
            "episodes": float(r.size),
            "episode_length": float(lengths[first:last].mean()),
            "env_steps": float(steps[last - 1]),
        }
        records.append(Record(f"episodes {first + 1} to {last}", values))
    return records


def _start(path: Path) -> float:
    """Return the start time of the file, from the comment in its first line; 0 if missing."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        line = file.readline()
    try:
        return float(json.loads(line.removeprefix("#"))["t_start"])
    except (ValueError, LookupError, TypeError):
        return 0.0
