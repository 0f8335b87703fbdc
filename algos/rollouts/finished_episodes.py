"""Figures of finished episodes, from the last ``info`` of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rungwise.success import SUCCESS_NAMES, read_number

Array = np.ndarray[Any, Any]

SUCCESS = "success"
"""Name of the successes among the figures of episodes."""


class FinishedEpisodes:
    """Figures of the episodes that finish in one rollout.

    An environment may name its success only where it is reached. So once it has named one, an
    episode that does not is a failure; until then nothing is known of either.

    Args:
        names: entries of ``info`` that are figures of a finished episode.
        copies: number of copies B.
        reports_success: whether the environment has named a success in an earlier rollout.
    """

    def __init__(self, names: Iterable[str], copies: int, reports_success: bool) -> None:
        names = tuple(names)
        self._names = tuple(name for name in names if name not in SUCCESS_NAMES)
        self._success_names = tuple(name for name in names if name in SUCCESS_NAMES)
        self.reports_success = reports_success
        self._figures: dict[str, list[Array]] = {}
        self._successes: list[Array] = []
        self._last_success = np.zeros(copies, bool)

    def record(self, infos: Mapping[str, Any], done: Array) -> None:
        """Add the copies ``done [B]`` that finished in a step with these infos."""
        # A next-step autoreset environment describes the finished episode in this step's info.
        final = infos.get("final_info", infos)
        for name in self._names:
            if name in final:
                values, reported = _read_figures(final, name, done)
                self._figures.setdefault(name, []).append(values[reported])
        if not self._success_names:
            return
        success = np.zeros(int(done.sum()))
        for name in self._success_names:
            if name in final:
                values, reported = _read_figures(final, name, done)
                success[reported] = values[reported].reshape(-1)
                self.reports_success = self.reports_success or bool(reported.any())
        self._successes.append(success)
        self._last_success[done] = success

    @property
    def last_success(self) -> Array | None:
        """Success of each copy's last finished episode [B]; None where it is not reported."""
        return self._last_success if self.reports_success else None

    def concatenate(self) -> dict[str, Array]:
        """Return the figures by name, one entry [N, ...] of each episode that has it."""
        figures = {name: np.concatenate(parts) for name, parts in self._figures.items()}
        if self._successes and self.reports_success:
            figures[SUCCESS] = np.concatenate(self._successes)
        return figures


def _read_figures(final: Mapping[str, Any], name: str, done: Array) -> tuple[Array, Array]:
    """Return the figures [N, ...] of the copies that finished, and which of them [N] have one."""
    values = np.asarray(final[name])[done]
    # Without a mask every copy has it: Gymnasium's batches have one, those of others need not.
    reported = np.asarray(final.get(f"_{name}", np.ones(len(done), bool)))[done].astype(bool)
    if values.dtype.kind in "biuf":
        return values, reported
    # Text, None where a copy has nothing, or of several types: what is a number counts.
    numbers = [read_number(value) for value in values.reshape(len(values), -1)[:, 0]]
    reported = reported & np.array([number is not None for number in numbers], bool)
    return np.array([number or 0.0 for number in numbers]), reported


def merge_figures(parts: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
    """Merge the figures of several runners, name -> [N, ...].

    A runner that has not seen a success yet has had none, where another one has.
    """
    parts = list(parts)
    merged = {
        name: np.concatenate([part[name] for part in parts if name in part])
        for name in {name for part in parts for name in part}
    }
    if SUCCESS in merged:
        silent = (part for part in parts if SUCCESS not in part)
        failures = sum(len(part.get("episode_return", ())) for part in silent)
        merged[SUCCESS] = np.concatenate([merged[SUCCESS], np.zeros(failures)])
    return merged
