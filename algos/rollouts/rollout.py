"""T steps of B copies, time-major: what a runner collects and an algorithm turns into rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from algos.models.memory import SEQUENCE_START
from algos.rollouts.advantages import normalise, returns_to_go
from algos.rollouts.columns import Columns, Ragged
from algos.rollouts.sequences import mark_sequence_starts

Array = np.ndarray[Any, Any]


@dataclass
class Rollout:
    """T steps of B copies before advantages are computed.

    Attributes:
        columns: observation and action columns and ``logp``, each ``[T, B, ...]``; also ``start``,
            the seed of the episode, where several copies begin alike, and ``candidates.*`` and
            ``judged``, ``[T, B, K, ...]``, where several actions were tried from the same state;
            and ``row_logp`` and ``row_reward``, ``[T, B, R]``, where an action is a choice in each
            of R rows and the reward the mean of theirs.
        rewards, values, next_values: ``[T, B]``; ``next_values`` are those of the next states, 0
            after termination and the final observation's after truncation.
        done, valid: ``[T, B]``; ``valid`` is false for the empty step in which a next-step
            autoreset environment only resets and, where each copy lives through one episode, after
            its end.
        reward_unit: what rewards are divided by where they are normalised (``return_scale.py``).
        success: whether the last finished episode of each copy reached its goal, ``[B]``; None
            where the environment does not say.
    """

    columns: dict[str, Array]
    rewards: Array
    values: Array
    next_values: Array
    done: Array
    valid: Array
    reward_unit: float = 1.0
    success: Array | None = None

    def normalise_rewards(self) -> Rollout:
        """Return the rollout with its rewards, those of rows too, in units of ``reward_unit``."""
        columns = dict(self.columns)
        if "row_reward" in columns:
            columns["row_reward"] = columns["row_reward"] / self.reward_unit
        return replace(
            self, columns=columns, rewards=self.rewards / self.reward_unit, reward_unit=1.0
        )

    def to_rows(self, **extra_columns: Array) -> Columns:
        """Return the valid steps as rows, with further ``[T, B]`` columns.

        Where the policy remembers, rows lie copy by copy, with the starts of their sequences.
        """
        if any(name.startswith("state.") for name in self.columns):
            order = self.valid.T
            by_copy = {
                name: column.swapaxes(0, 1)[order]
                for name, column in (self.columns | extra_columns).items()
            }
            starts = mark_sequence_starts(self.done, self.valid)
            return Columns(by_copy | {SEQUENCE_START: starts})
        valid = self.valid.reshape(-1)
        flat = {
            name: column.reshape(-1, *column.shape[2:])
            for name, column in (self.columns | extra_columns).items()
        }
        table = Columns(flat)
        return table if valid.all() else table.select(np.flatnonzero(valid))

    def compute_row_advantages(self, advantages: Array) -> dict[str, Array]:
        """Return the column ``row_advantages`` [T, B, R] if rows have rewards, else nothing.

        A row's own reward replaces the mean of all; the future is the same for each row.
        """
        if "row_reward" not in self.columns:
            return {}
        deviations = self.columns["row_reward"] - self.rewards[..., None]
        return {"row_advantages": advantages[..., None] + deviations}

    def to_group_rows(
        self, advantages: Array, has_signal: Array, row_advantages: Array | None = None
    ) -> Columns:
        """Return rows whose copies were compared within their groups.

        Args:
            advantages: ``[T, P, G]`` for P G copies; a T of 1 holds for all steps of an episode.
            has_signal: whether the returns of a group differ ``[T, P]``.
            row_advantages: ``[T, P, R, G]`` where the rows of an action were compared.
        """
        steps, shape = len(advantages), self.rewards.shape
        # [T, P] -> [T, P G]: every copy has the flag of its group.
        signal = np.repeat(has_signal, advantages.shape[-1], axis=1)
        by_row: dict[str, Array] = {}
        if row_advantages is not None:
            # [T, P, R, G] -> [T, P G, R]: members of a group are neighbouring copies
            # again.
            copies = row_advantages.swapaxes(2, 3).reshape(steps, shape[1], -1)
            by_row["row_advantages"] = np.broadcast_to(copies, (*shape, copies.shape[2]))
        return self.to_rows(
            advantages=np.broadcast_to(advantages.reshape(steps, -1), shape),
            signal=np.broadcast_to(signal, shape),
            **by_row,
        )

    def to_episodes(self, **extra_columns: Array) -> Columns:
        """Return a row for each copy: its valid steps as Ragged columns, and ``[B]`` columns."""
        # Transposed first: a boolean index flattens in the order of the axes, here copy by
        # copy.
        valid = self.valid.T
        offsets = np.concatenate([[0], np.cumsum(valid.sum(1))])
        steps = {
            name: Ragged(column.swapaxes(0, 1)[valid], offsets)
            for name, column in self.columns.items()
        }
        return Columns(steps | extra_columns)

    def returns(self, gamma: float) -> Array:
        """Return the discounted sum ``[B]`` of the rewards of each copy's valid steps."""
        # For rollouts of one episode a copy: its step t is then the exponent of the discount. In
        # float64 (below, too), which adds up equal returns without rounding them apart.
        weights = gamma ** np.arange(len(self.rewards), dtype=np.float64)
        return np.where(self.valid, self.rewards * weights[:, None], 0).sum(0)

    def returns_to_go(self, gamma: float) -> Array:
        """Return the discounted sum ``[T, B]`` of the rewards from each step of an episode on."""
        rewards = np.where(self.valid, self.rewards, np.float64(0))
        return returns_to_go(rewards, np.zeros_like(rewards), self.done, gamma)

    def row_returns_to_go(self, gamma: float) -> Array | None:
        """Return the same for each row ``[T, B, R]``; None if rows have no rewards."""
        if "row_reward" not in self.columns:
            return None
        rewards = np.where(self.valid[..., None], self.columns["row_reward"], np.float64(0))
        return returns_to_go(rewards, np.zeros_like(rewards), self.done[..., None], gamma)


ADVANTAGES = ("advantages", "row_advantages")
"""Columns of advantages: of actions, and of the rows of a graph that make one up."""


def normalise_advantages(rows: Columns) -> Columns:
    """Normalise advantages (those of a graph's rows, too) to mean 0 and deviation 1."""
    return rows.with_columns(**{n: normalise(rows[n]) for n in ADVANTAGES if n in rows})


def scale_advantages(rows: Columns, factor: float) -> Columns:
    """Multiply advantages (those of a graph's rows, too) by a factor."""
    return rows.with_columns(**{n: rows[n] * factor for n in ADVANTAGES if n in rows})


def mask_first_episodes(done: Array) -> tuple[Array, Array]:
    """Return the ends [T, B] of the first episodes of done [T, B], and the steps in them [T, B].

    An episode that has not ended by T is cut off there.

    >>> ends, valid = mask_first_episodes(np.array([[False], [True], [False]]))
    >>> ends[:, 0].tolist(), valid[:, 0].tolist()
    ([False, True, False], [True, True, False])
    """
    # Shifted by one below: the step that ends the first episode still belongs to it.
    over = np.maximum.accumulate(done)
    valid = ~np.concatenate([np.zeros_like(over[:1]), over[:-1]])
    ends = done & valid
    ends[-1] |= valid[-1]
    return ends, valid


def number_episodes(done: Array, episode_starts: Array, first: int) -> tuple[Array, Array]:
    """Return a unique number for each step's episode [T, B], from done [T, B].

    It is unique among the episodes of all copies: the step at which the episode began, times B,
    plus the copy. ``episode_starts [B]`` are the first steps of the episodes under way; the
    second result is their next value.
    """
    T, B = done.shape
    # The step after an end begins the next episode. The 0 elsewhere is below every start, so
    # the running maximum carries the latest start forward.
    starts = np.where(done, np.arange(first + 1, first + T + 1)[:, None], 0)
    began = np.maximum.accumulate(np.concatenate([episode_starts[None], starts]))
    return began[:-1] * B + np.arange(B), began[-1]
