"""Preallocated arrays that a runner fills step by step, and the rollout that they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from algos.rollouts.rollout import Array, Rollout, mask_first_episodes


class RolloutBuffer:
    """At most T steps of B copies, time-major.

    Attributes:
        steps: how many steps have been stored.
        columns: observation and action columns ``[T, B, ...]``.
        rewards, values, final_values: ``[T, B]``; ``final_values`` are those of the final
            observations of truncated episodes, which an automatic reset hides.
        terminated, truncated: ``[T, B]``.
        present: ``[T, B]``, whether the agent of a row is in its game; None where all always are.
    """

    def __init__(self, length: int, copies: int) -> None:
        self.length, self.steps = length, 0
        shape = (length, copies)
        self.columns: dict[str, Array] = {}
        # Zeros, not empty: final values are written only where an episode was truncated.
        self.rewards, self.values, self.final_values = (
            np.zeros(shape, np.float32) for _ in range(3)
        )
        self.terminated, self.truncated = np.zeros(shape, bool), np.zeros(shape, bool)
        self.present: Array | None = None

    def store(self, rows: Mapping[str, Any]) -> None:
        """Write one row [B, ...] of each column at the current step."""
        for name, row in rows.items():
            if name not in self.columns:
                # Shape and type of a column are known only from its first row: what a policy
                # stores with its action differs by algorithm and environment.
                shape = (self.length, *np.shape(row))
                self.columns[name] = np.empty(shape, np.asarray(row).dtype)
            self.columns[name][self.steps] = row

    def drop_absent(self, present: Array | None) -> None:
        """Leave out the rows of the current step whose agents are not ``present`` [B]."""
        if present is None:
            return
        if self.present is None:
            self.present = np.ones(self.terminated.shape, bool)
        t = self.steps
        self.present[t] = present
        # A game ends for all of its rows, but the episode of an absent agent has ended before.
        self.terminated[t] &= present
        self.truncated[t] &= present

    def trim(self) -> None:
        """Drop the steps that were not filled, where all episodes ended early."""
        T = self.steps
        self.columns = {name: column[:T] for name, column in self.columns.items()}
        self.rewards, self.values = self.rewards[:T], self.values[:T]
        self.final_values = self.final_values[:T]
        self.terminated, self.truncated = self.terminated[:T], self.truncated[:T]
        self.present = None if self.present is None else self.present[:T]

    def finish(
        self,
        bootstrap: Callable[..., Array],
        last_values: Array,
        reward_unit: float,
        *,
        resetting: Array | None,
        first_episodes_only: bool,
    ) -> Rollout:
        """Return the rollout.

        Args:
            bootstrap: the objective's hook: values and ends of episodes -> next values [T, B].
            last_values: values [B] of the observations after the last step.
            reward_unit: what normalised rewards are divided by.
            resetting: copies [B] whose first step only resets; None for same-step autoreset.
            first_episodes_only: whether the steps after a copy's first episode are left out.
        """
        done, final_values = self.terminated | self.truncated, self.final_values
        valid = np.ones(done.shape, bool) if self.present is None else self.present
        if resetting is not None:
            # The step after an episode's end only resets: it is no experience. But the final
            # observation is the row after the end; nothing was hidden.
            valid = ~np.concatenate([resetting[None], done[:-1]])
            # Row t + 1 holds the observation that the reset step acted on: the final
            # one of row t.
            final_values = np.concatenate([self.values[1:], last_values[None]])
        next_values = bootstrap(
            self.values, last_values, self.terminated, self.truncated, final_values
        )
        # After bootstrapping, which needs the environment's own ends: here a copy that has
        # not finished counts as done at T, too.
        if first_episodes_only:
            done, valid = mask_first_episodes(done)
            self.truncated |= done & ~self.terminated  # for the statistics: by the rollout's end
        return Rollout(
            self.columns, self.rewards, self.values, next_values, done, valid, reward_unit
        )
