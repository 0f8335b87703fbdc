"""Probe ``credit``: does a reward count for the actions that led to it, and for no others?

An algorithm's ``compute_advantages`` is a pure function of a rollout, so it is given a synthetic
one: real observations and actions, random rewards and values, and many short episodes. One number
of it, a reward or the value of a state, is set very low and then very high. Only rows of its
episode may differ between the two, and of its group where episodes from one start are compared; and
for a reward a row of the same step or an earlier one must.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch

from algos.objective import Objective
from algos.rollouts.columns import Column, Ragged
from algos.rollouts.rollout import Rollout, mask_first_episodes
from rungwise.formatting import count
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.rollouts import sample_random_play

Array = np.ndarray[Any, Any]

STEPS, STARTS = 20, 6
"""Size of the rollout: steps, and copies (or groups of them, where episodes are compared)."""
END_FRACTION = 0.2
"""Fraction of steps that end an episode, half of them by a time limit."""
EXTREME = 100.0
"""Size that a number is set to; the others are about 1 in size."""
GAMMA = 0.99
"""Discount in place of the settings', as a small one would hide distant effects."""
STEP_INDEX = "obs.position"
"""Column that numbers the steps: observations are part of every kind of row."""
AFFINE_TOLERANCE = 1e-3
"""Tolerance within which a difference counts as a common scale and shift of all rows."""
Rows: TypeAlias = dict[tuple[int, ...], Array]
"""Numbers of the steps that a row was made of -> the C values that the algorithm added."""
NUMBERS = {
    "rewards": "the reward of copy {} at step {}",
    "judged": "the reward of a candidate of copy {} at step {}",
    "values": "the value of the state of copy {} at step {}",
    "final_values": "the value of the last state of copy {} in the episode cut off at step {}",
    "last_values": "the value of the state of copy {} after the rollout's last step {}",
}
"""Name of a changed number -> its description."""


@dataclasses.dataclass(frozen=True)
class Change:
    """Rows that differ when one number of the rollout changes."""

    name: str
    copy: int
    step: int
    reached: bool
    """Whether it changed a row of its episode at its step or earlier."""
    columns: tuple[str, ...]
    """Columns that it changed in rows of other episodes."""
    copies: int
    """Number of other copies with such rows."""
    episodes: int
    """Number of other episodes of the same copy with such rows."""

    @property
    def leak(self) -> str:
        """The leak as a clause."""
        siblings = f"{count(self.episodes, 'other episode')} of its own"
        parts = [count(self.copies, "other copy", "other copies")] * bool(self.copies)
        reached = " and ".join([*parts, *[siblings] * bool(self.episodes)])
        what = NUMBERS[self.name].format(self.copy, self.step)
        return f"{what} changed the {' and '.join(self.columns)} of {reached}"


def probe_credit(target: CheckTarget, seconds: float) -> ProbeResult:
    """Change one number at a time and record which rows differ."""
    outcome = ProbeResult()
    synthetic = make_synthetic_rollout(target, seconds / 4)
    deadline = target.clock() + seconds * 3 / 4
    added, rows = synthetic.compute_rows()
    # Algorithms that learn from the steps as they are compute nothing that could leak.
    if not (added and rows):
        why = f"{target.algo} with these settings adds no column to the collected steps"
        outcome.not_judged |= dict.fromkeys(("credit_leaks", "reward_without_credit"), why)
        return outcome
    changes: list[Change] = []
    for name, copy, step in synthetic.list_numbers():
        changes.append(synthetic.measure_change(name, copy, step))
        if target.clock() > deadline:
            break
    leaks = [c for c in changes if c.copies or c.episodes]
    rewards = [c for c in changes if c.name == synthetic.reward_name]
    lost = [c for c in rewards if not c.reached]
    outcome.figures = {"tried": len(changes), "leaks": len(leaks), "lost": len(lost)}
    if leaks:
        # A leaked reward is easier to understand than a leaked value, so it is shown first.
        worst = max(leaks, key=lambda c: (c.name == synthetic.reward_name, c.copies, c.episodes))
        others = f"; so did {len(leaks) - 1} of {len(changes) - 1} others" if leaks[1:] else ""
        outcome.add_finding("credit_leaks", "stop", f"{worst.leak}{others}")
    if lost:
        what = NUMBERS[lost[0].name].format(lost[0].copy, lost[0].step)
        outcome.add_finding(
            "reward_without_credit",
            "stop",
            f"{what} changed nothing in a row of that step or an earlier one of its episode; the "
            f"same holds for {len(lost)} of {len(rewards)} rewards",
        )
    return outcome


def make_synthetic_rollout(target: CheckTarget, seconds: float) -> SyntheticRollout:
    """Make a rollout as the algorithm expects it; see the module's docstring."""
    # A small discount would shrink distant effects to below the rounding of float32.
    settings: Any = target.make_small_settings(gamma=GAMMA)
    objective, rng = target.algorithm.objective_class(settings), np.random.default_rng(0)
    whole_episodes = "starts" in objective.needs
    group = np.repeat(np.arange(STARTS), settings.group_size if whole_episodes else 1)
    T, B = shape = STEPS, len(group)
    sample = sample_random_play(target, seconds).observations
    rows = [sample[i % len(sample)] for i in range(T * B)]
    observation = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    observation, _ = target.module.recall(observation, target.module.initial_state(T * B))
    action, logp, _ = target.module.act(observation, torch.Generator().manual_seed(0))
    acted = {name: part.numpy() for name, part in action.items()}
    # The step's number travels with the observation, so that rows can be traced to their steps
    # after any shuffling or pairing by the algorithm.
    flat = observation | acted | {"logp": logp.numpy(), STEP_INDEX: np.arange(T * B)}
    columns = {name: column.reshape(*shape, *column.shape[1:]) for name, column in flat.items()}
    # Random numbers, because rewards of random play are often all zero, which hides leaks.
    numbers = {n: rng.normal(size=shape).astype(np.float32) for n in ("rewards", "values")}
    numbers["final_values"] = rng.normal(size=shape).astype(np.float32)
    numbers["last_values"] = rng.normal(size=B).astype(np.float32)
    # Group-relative algorithms compare episodes of one start, so a change may reach its group.
    if whole_episodes:
        columns["start"] = np.broadcast_to(group, shape)
    if "candidates" in objective.needs:
        K = settings.candidates
        for name in acted:
            columns[f"candidates.{name}"] = np.stack([columns[name]] * K, 2)
        numbers["judged"] = rng.normal(size=(*shape, K)).astype(np.float32)
    # One random number for both kinds of end, as a step cannot be terminated and truncated at once.
    luck = rng.random(shape)
    terminated = luck < END_FRACTION / 2
    truncated = ~terminated & (luck < END_FRACTION)
    return SyntheticRollout(
        objective, columns, numbers, terminated, truncated, group, whole_episodes
    )


@dataclasses.dataclass(frozen=True)
class SyntheticRollout:
    """A synthetic rollout, of which single numbers can be changed."""

    objective: Objective[Any]
    columns: dict[str, Array]
    numbers: dict[str, Array]
    terminated: Array
    truncated: Array
    group: Array
    """[B]: group of each copy; copies of a group start alike."""
    whole_episodes: bool
    """Whether each copy has one episode, which is compared with others of its group."""

    @property
    def reward_name(self) -> str:
        """Name of the numbers that the credit is computed from."""
        return "judged" if "judged" in self.numbers else "rewards"

    @cached_property
    def done_and_valid(self) -> tuple[Array, Array]:
        """Where episodes end, and which steps belong to one: two arrays [T, B]."""
        done = self.terminated | self.truncated
        return mask_first_episodes(done) if self.whole_episodes else (done, np.ones_like(done))

    @cached_property
    def episode(self) -> Array:
        """[T, B]: episode number of each step in its copy."""
        done = (self.terminated | self.truncated).astype(int)
        return np.cumsum(done, 0) - done

    def list_numbers(self) -> Iterator[tuple[str, int, int]]:
        """Yield the numbers to change: all of a few copies, one of each group."""
        valid = self.done_and_valid[1]
        T, B = valid.shape
        # All steps but few copies: an error in the indexing depends on the step, not on the copy.
        copies = np.linspace(0, B - 1, STARTS, dtype=int).tolist()
        for step, copy in itertools.product(range(T), copies):
            if valid[step, copy]:
                # Steps after the first episode of a copy are padding in whole-episode algorithms.
                yield self.reward_name, copy, step
                yield "values", copy, step
            if valid[step, copy] and self.truncated[step, copy]:
                yield "final_values", copy, step
            if step == T - 1:
                yield "last_values", copy, step

    def compute_rows(
        self, name: str = "", copy: int = 0, step: int = 0, size: float = 0
    ) -> tuple[tuple[str, ...], Rows]:
        """Return the algorithm's rows with one number set to this size.

        Returns:
            Names of the C columns that the algorithm added to the steps, and the rows.
        """
        # Copies, because one number is changed below and the rollout is used again.
        n = {key: array.copy() for key, array in self.numbers.items()}
        if name:
            position = {"last_values": (copy,), "judged": (step, copy, 0)}.get(name, (step, copy))
            n[name][position] = size
        following = self.objective.bootstrap(
            n["values"], n["last_values"], self.terminated, self.truncated, n["final_values"]
        )
        columns = self.columns | {c: n[c] for c in ("judged",) if c in n}
        done, valid = (part.copy() for part in self.done_and_valid)
        rollout = Rollout(columns, n["rewards"], n["values"], following, done, valid)
        rows = self.objective.compute_advantages(rollout)
        marks = [_split_rows(rows[c]) for c in rows if c.endswith(STEP_INDEX)]
        step_indices = [np.concatenate(parts) for parts in zip(*marks, strict=True)]
        added = [c for c in rows if not any(c == k or c.endswith(f".{k}") for k in columns)]
        values = [_to_matrix(rows[c], len(rows)) for c in added]
        names = tuple(c for c, part in zip(added, values, strict=True) for _ in part.T)
        table = np.concatenate(values, 1) if values else np.zeros((len(rows), 0))
        steps = (tuple(positions.tolist()) for positions in step_indices)
        return names, dict(zip(steps, table, strict=True))

    def measure_change(self, name: str, copy: int, step: int) -> Change:
        """Set a number very low and very high, and compare the rows."""
        # Two extremes instead of one change: clipping may hide a change in one direction.
        names, low = self.compute_rows(name, copy, step, -EXTREME)
        _, high = self.compute_rows(name, copy, step, EXTREME)
        B, own_episode = len(self.group), self._mask_own_episode(name, copy, step)
        allowed = (own_episode | (self.whole_episodes & (self.group == self.group[copy]))).ravel()
        changed, columns = _find_differing_rows(names, low, high, allowed)
        earlier = (own_episode & (np.arange(len(own_episode)) <= step)[:, None]).reshape(-1)
        leaked = np.concatenate([np.zeros(0, int), *(p for p in changed if not allowed[p].all())])
        leaked = leaked[~allowed[leaked]]
        copies, episodes = leaked % B, self.episode.reshape(-1)[leaked]
        return Change(
            name,
            copy,
            step,
            any(earlier[p].any() for p in changed),
            columns,
            len(set(copies.tolist()) - {copy}),
            len(set(episodes[copies == copy].tolist())),
        )

    def _mask_own_episode(self, name: str, copy: int, step: int) -> Array:
        """Return a mask [T, B] of the steps of the episode that a number belongs to."""
        over = self.terminated | self.truncated
        # Where the last step ends an episode, the state after it belongs to the next one.
        number = self.episode[step, copy] + (name == "last_values" and over[step, copy])
        own_episode = self.episode == number
        return own_episode & (np.arange(own_episode.shape[1]) == copy)


def _find_differing_rows(
    names: Sequence[str], low: Rows, high: Rows, allowed: Array
) -> tuple[list[Array], tuple[str, ...]]:
    """Return the steps of each row that differs, and the columns in which forbidden rows do.

    ``allowed`` marks the steps whose rows may differ; others may be scaled and shifted together.
    """
    # Rows are matched by their steps, since an algorithm may order or drop them differently.
    both = [steps for steps in low if steps in high]
    shape = len(both), len(names)
    at_low, at_high = (np.reshape([rows[steps] for steps in both], shape) for rows in (low, high))
    foreign = np.array([not allowed[list(steps)].all() for steps in both], bool)
    # Exact, because a row without influence goes through the same arithmetic both times.
    differ = at_low != at_high
    # Normalising the advantages over the batch moves all rows together, which is no leak.
    if _is_affine(at_low[foreign], at_high[foreign]):
        differ &= ~foreign[:, None]
    columns = (name for name, d in zip(names, differ[foreign].any(0), strict=True) if d)
    changed = [steps for steps, d in zip(both, differ.any(1), strict=True) if d]
    # Rows that exist in one case only, such as pairs of other episodes.
    changed += [steps for steps in low | high if not (steps in low and steps in high)]
    return list(map(np.array, changed)), tuple(dict.fromkeys(columns)) or ("pairing",)


def _split_rows(column: Column) -> list[Array]:
    """Return each row of an index column as an array."""
    if isinstance(column, Ragged):
        # The outer offsets are the ends of the whole array, which np.split adds by itself.
        return np.split(column.values, column.offsets[1:-1])
    return list(np.reshape(column, (-1, 1)))


def _to_matrix(column: Column, count: int) -> Array:
    """Return a column as a matrix [N, C]; of rows of different length the sums."""
    if isinstance(column, Ragged):
        return np.array([[part.sum()] for part in _split_rows(column)], np.float64)
    return np.reshape(column, (count, -1)).astype(np.float64)


def _is_affine(a: Array, b: Array) -> bool:
    """Return whether two tables [N, C] are equal up to the mean and scale of each column."""

    def standard(table: Array) -> Array:
        # The small constant keeps columns without spread from becoming NaN.
        return (table - table.mean(0)) / (table.std(0) + 1e-8)

    return len(a) > 0 and np.allclose(standard(a), standard(b), atol=AFFINE_TOLERANCE)
