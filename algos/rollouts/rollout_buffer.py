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
        missed: ``[T, B]``, the steps of its episode that an agent was absent from.
        under_way: ``[B]``, whether the agent of a row has acted since its last episode ended, even
            if it is absent now.
        late_rewards: ``[B]``, paid to absent agents whose last action is in an earlier rollout:
            part of the return of that episode, and earned by no row here.

    Args:
        length: T.
        copies: B.
        under_way: that before the first step; by default none has.
    """

    def __init__(self, length: int, copies: int, under_way: Array | None = None) -> None:
        self.length, self.steps = length, 0
        shape = (length, copies)
        self.columns: dict[str, Array] = {}
        # Zeros, not empty: final values are written only where an episode was truncated.
        self.rewards, self.values, self.final_values = (
            np.zeros(shape, np.float32) for _ in range(3)
        )
        self.terminated, self.truncated = np.zeros(shape, bool), np.zeros(shape, bool)
        self.present: Array | None = None
        self.missed = np.zeros(shape, bool)
        self.under_way = np.zeros(copies, bool) if under_way is None else under_way
        self.late_rewards = np.zeros(copies, np.float32)
        # The step at which each agent last acted in the episode under way; -1: in no step so far.
        self._last_steps = np.full(copies, -1)

    def store(self, rows: Mapping[str, Any]) -> None:
        """Write one row [B, ...] of each column at the current step."""
        for name, row in rows.items():
            if name not in self.columns:
                # Shape and type of a column are known only from its first row: what a policy
                # stores with its action differs by algorithm and environment.
                shape = (self.length, *np.shape(row))
                self.columns[name] = np.empty(shape, np.asarray(row).dtype)
            self.columns[name][self.steps] = row

    def settle_absent(self, present: Array | None) -> None:
        """Leave out the rows of the current step whose agents are not ``present`` [B].

        What an agent is paid while it is away is paid for its last action, and where its episode
        ends before it is back, it ends with that action.
        """
        t = self.steps
        ends = self.terminated[t] | self.truncated[t]
        if present is None:
            self.under_way = ~ends
            return
        if self.present is None:
            self.present = np.ones(self.terminated.shape, bool)
        self.present[t] = present
        self.missed[t] = ~present & (self._last_steps >= 0)
        # A game ends for all of its rows, but the episode of an agent that has left has ended
        # before. If its last action is in an earlier rollout, the end is counted here.
        ending = present | (self.under_way & ~self.missed[t])
        self.late_rewards += np.where(
            self.under_way & ~present & ~self.missed[t], self.rewards[t], 0
        )
        away = np.flatnonzero(self.missed[t])
        last = self._last_steps[away], away
        self.rewards[last] += self.rewards[t, away]
        self.rewards[t, ~present] = 0
        for flags in (self.terminated, self.truncated):
            flags[last] = flags[t, away]
            flags[t] &= ending
        self._last_steps[present] = t
        self._last_steps[ends] = -1
        self.under_way = (self.under_way | present) & ~ends

    def trim(self) -> None:
        """Drop the steps that were not filled, where all episodes ended early."""
        T = self.steps
        self.columns = {name: column[:T] for name, column in self.columns.items()}
        self.rewards, self.values = self.rewards[:T], self.values[:T]
        self.final_values = self.final_values[:T]
        self.terminated, self.truncated = self.terminated[:T], self.truncated[:T]
        self.present = None if self.present is None else self.present[:T]
        self.missed = self.missed[:T]

    def _close_gaps(self, present: Array) -> None:
        """Move the steps that an agent missed before its first one, so that its own are adjacent.

        Then the next row of every row is what the agent saw when it acted again, for values,
        advantages and sequences alike.
        """
        # An agent that was cut off while it was away: what it would have seen is not known, so
        # that its last observation stands for it.
        cut_off = self.truncated[:-1] & self.missed[1:]
        self.final_values[:-1] = np.where(cut_off, self.values[:-1], self.final_values[:-1])
        copies = np.flatnonzero(self.missed.any(0))
        order = np.argsort(~self.missed[:, copies], axis=0, kind="stable")
        steps = (self.rewards, self.values, self.final_values, self.terminated, self.truncated)
        for column in (*self.columns.values(), *steps, present):
            column[:, copies] = column[order, copies]

    def finish(
        self,
        bootstrap: Callable[..., Array],
        last_values: Array,
        reward_unit: float,
        *,
        resetting: Array | None,
        first_episodes_only: bool,
        present: Array | None = None,
    ) -> Rollout:
        """Return the rollout.

        Args:
            bootstrap: the objective's hook: values and ends of episodes -> next values [T, B].
            last_values: values [B] of the observations after the last step.
            reward_unit: what normalised rewards are divided by.
            resetting: copies [B] whose first step only resets; None for same-step autoreset.
            first_episodes_only: whether the steps after a copy's first episode are left out.
            present: agents [B] that act next; None where all always do.
        """
        if self.present is not None and self.missed.any():
            self._close_gaps(self.present)
        if present is not None:
            # Nor is known what an agent sees when it is back in a later rollout.
            last_values = np.where(present, last_values, self.values[-1])
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
