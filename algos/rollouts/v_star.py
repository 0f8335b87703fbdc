"""V* by start, the result of A*-PO's stage 1: the table, its cache and its progress.

``astar_po.py`` plays the episodes of the reference policy; nothing here needs Ray.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from algos.rollouts import rollout_io
from algos.rollouts.columns import Columns

Array = np.ndarray[Any, Any]

UNKNOWN = -1
"""Success (else 1 or 0) of an episode, or of a start, where the environment does not report it. A
number and no missing column, as the columns of all runners and batches must be the same."""


@dataclass
class VStarTable:
    """V* of the starts estimated so far, and what the samples of each start were like."""

    values: dict[int, float] = field(default_factory=dict[int, float])
    """V* by start."""
    flat: dict[int, bool] = field(default_factory=dict[int, bool])
    """Whether all samples of a start had the same return."""
    solved: dict[int, bool] = field(default_factory=dict[int, bool])
    """Whether any sample of a start succeeded; empty where the environment reports no success."""
    seconds: float = 0.0
    """Time that this process has spent on :attr:`num_timed` starts."""
    num_timed: int = 0

    def list_missing(self, num_starts: int) -> list[int]:
        """Return the starts below ``num_starts`` whose V* is unknown, in ascending order."""
        return sorted(set(range(num_starts)) - self.values.keys())

    def add(self, batch: Columns) -> None:
        """Add a batch of starts, as :func:`make_batch` returns it; later estimates win."""
        starts = batch["start"].tolist()
        self.values |= dict(zip(starts, batch["v_star"].tolist(), strict=True))
        self.flat |= dict(zip(starts, (batch["flat"] != 0).tolist(), strict=True))
        self.solved |= {
            start: bool(solved)
            for start, solved in zip(starts, batch["solved"].tolist(), strict=True)
            if solved != UNKNOWN
        }

    def record_time(self, num_starts: int, seconds: float) -> None:
        """Record the time that estimating some starts took; the time left follows from it."""
        self.num_timed += num_starts
        self.seconds += seconds

    def load(self, folder: Path) -> None:
        """Add every batch that :func:`store_batch` has written to a folder, if there is any."""
        # Asked for files, not for the folder: a process may be killed between the two.
        if any(folder.glob("*.parquet")):
            self.add(rollout_io.read_columns(folder))

    def summarise(self, num_starts: int) -> dict[str, float]:
        """Return the progress through ``num_starts`` starts, by the names in ``metrics.py``."""
        # The cache may hold more starts than this trial has.
        estimated = [start for start in range(num_starts) if start in self.values]
        missing = num_starts - len(estimated)
        metrics: dict[str, float] = {"v_star_starts": len(estimated), "v_star_starts_left": missing}
        if estimated:
            values = np.array([self.values[start] for start in estimated], np.float32)
            metrics |= {
                "v_star_mean": float(values.mean()),
                "v_star_std": float(values.std()),
                "v_star_max": float(values.max()),
                "v_star_flat_fraction": float(np.mean([self.flat[start] for start in estimated])),
            }
        if solved := [self.solved[start] for start in estimated if start in self.solved]:
            metrics["v_star_failed_fraction"] = 1 - float(np.mean(solved))
        if self.num_timed:
            metrics["v_star_s"] = self.seconds
            metrics["v_star_left_s"] = missing * self.seconds / self.num_timed
        return metrics

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {"values": self.values, "flat": self.flat, "solved": self.solved}

    def set_state(self, state: dict[str, Any]) -> None:
        """Load what a checkpoint holds."""
        self.values, self.flat, self.solved = state["values"], state["flat"], state["solved"]


def make_batch(starts: Array, returns: Array, v_star: Array, success: Array) -> Columns:
    """Return a row for each of S starts.

    Args:
        starts: numbers of the starts ``[S]``.
        returns: of their samples ``[S, K]``.
        v_star: their estimates ``[S]``.
        success: whether each sample succeeded ``[S, K]``: 1, 0 or ``UNKNOWN``.
    """
    solved = success.max(1)  # unknown only where all samples are, as that is the lowest number
    flat = (returns == returns[:, :1]).all(1)
    return Columns(
        {
            "start": starts.astype(np.int64),
            "v_star": v_star.astype(np.float32),
            "flat": flat.astype(np.int8),
            "solved": solved.astype(np.int8),
        }
    )


def store_batch(batch: Columns, folder: Path, env: str) -> None:
    """Write a batch to a file of its own in the folder of a cache.

    A file per batch and not one for all: what is there already is never written again, so neither a
    kill nor a second trial with the same reference can lose it.
    """
    starts = batch["start"]
    path = folder / f"{starts.min():09d}-{starts.max():09d}.parquet"
    rollout_io.write_columns(batch, path, env=env)
