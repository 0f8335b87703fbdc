"""Probe ``credit``: does a reward count for the actions that led to it, and for no others?

An algorithm's ``credit`` is a pure function of a rollout, so it is given a made-up one: real
observations and actions, random rewards and values, and many short episodes. One number of it, a
reward or the value of a state, is set very low and then very high. Only rows of its own episode may
differ between the two, and of its group where episodes from one start are compared; and for a
reward a row of its own step or an earlier one must.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch

from algos.objective import Objective
from algos.rollouts.columns import Ragged
from algos.rollouts.rollout import Rollout, mask_first_episodes
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.probe_result import ProbeResult
from tune_jobs.check.rollouts import sample_random_play

Array = np.ndarray[Any, Any]

STEPS, STARTS = 20, 6
"""Size of the rollout: steps, and copies (or groups of them, where episodes are compared)."""
ENDS = 0.2
"""Share of steps that end an episode, half of them by a time limit."""
SIZE = 100.0
"""What a number is set to; those around it are about 1 in size."""
DISCOUNT = 0.99
"""In place of the settings' own, as a small one would hide what is far away."""
PLACE = "obs.place"
"""Column that numbers the steps: observations travel with every kind of row."""
SHARED = 1e-3
"""What remains of a difference when all rows were only scaled and shifted alike."""
NUMBERS = {
    "rewards": "the reward of copy {} at step {}",
    "judged": "the reward of a candidate of copy {} at step {}",
    "values": "the value of the state of copy {} at step {}",
    "final_values": "the value of the last state of copy {} in the episode cut off at step {}",
    "last_values": "the value of the state of copy {} after the rollout's last step {}",
}
"""What is changed, in words."""


@dataclasses.dataclass(frozen=True)
class Change:
    """A number that is set to another value, and who noticed."""

    name: str
    copy: int
    step: int
    reached: bool
    """Whether it changed a row of its own episode that is not later."""
    columns: tuple[str, ...]
    """Columns that it changed in rows of other episodes."""
    copies: int
    """How many other copies had such rows."""
    episodes: int
    """How many other episodes of its own copy had."""

    @property
    def leak(self) -> str:
        """In words."""
        told = [_count(self.copies, "other copy", "other copies")]
        told.append(_count(self.episodes, "other episode of its own", "other episodes of its own"))
        reached = " and ".join(part for part in told if part)
        what = NUMBERS[self.name].format(self.copy, self.step)
        return f"{what} changed the {' and '.join(self.columns)} of {reached}"


def probe_credit(subject: CheckTarget, seconds: float) -> ProbeResult:
    """Change one number at a time and see which rows notice."""
    outcome = ProbeResult()
    made = make_synthetic_rollout(subject, seconds / 4)
    deadline = time.monotonic() + seconds * 3 / 4
    rows = made.rows()
    if not (rows.columns and rows.places):
        why = f"{subject.algo} with these settings adds nothing to the steps that it collects"
        outcome.not_judged |= dict.fromkeys(("credit_leaks", "reward_without_credit"), why)
        return outcome
    changes: list[Change] = []
    for name, copy, step in made.numbered():
        changes.append(made.change(name, copy, step))
        if time.monotonic() > deadline:
            break
    leaks = [c for c in changes if c.copies or c.episodes]
    rewards = [c for c in changes if c.name == made.paid]
    lost = [c for c in rewards if not c.reached]
    outcome.figures = {"tried": len(changes), "leaks": len(leaks), "lost": len(lost)}
    if leaks:
        worst = max(leaks, key=lambda c: (c.name == made.paid, c.copies, c.episodes))
        others = f"; so did {len(leaks) - 1} of {len(changes) - 1} others" if leaks[1:] else ""
        outcome.add_finding("credit_leaks", "stop", f"{worst.leak}{others}")
    if lost:
        what = NUMBERS[lost[0].name].format(lost[0].copy, lost[0].step)
        outcome.add_finding(
            "reward_without_credit",
            "stop",
            f"{what} changed nothing in a row of that step or an earlier one of its episode; so it "
            f"was with {len(lost)} of {len(rewards)} rewards",
        )
    return outcome


def make_synthetic_rollout(subject: CheckTarget, seconds: float) -> SyntheticRollout:
    """Experience as the algorithm expects it; see the module's docstring."""
    settings: Any = subject.make_small_settings(gamma=DISCOUNT)
    objective, rng = subject.algorithm.objective_class(settings), np.random.default_rng(0)
    whole = "starts" in objective.needs
    group = np.repeat(np.arange(STARTS), settings.group_size if whole else 1)
    T, B = shape = STEPS, len(group)
    seen = sample_random_play(subject, seconds).observations
    rows = [seen[i % len(seen)] for i in range(T * B)]
    observation = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    action, logp, _ = subject.module.act(observation, torch.Generator().manual_seed(0))
    acted = {name: part.numpy() for name, part in action.items()}
    flat = observation | acted | {"logp": logp.numpy(), PLACE: np.arange(T * B)}
    columns = {name: column.reshape(*shape, *column.shape[1:]) for name, column in flat.items()}
    numbers = {n: rng.normal(size=shape).astype(np.float32) for n in ("rewards", "values")}
    numbers["final_values"] = rng.normal(size=shape).astype(np.float32)
    numbers["last_values"] = rng.normal(size=B).astype(np.float32)
    if whole:
        columns["start"] = np.broadcast_to(group, shape)
    if "candidates" in objective.needs:
        K = settings.candidates
        for name in acted:
            columns[f"candidates.{name}"] = np.stack([columns[name]] * K, 2)
        numbers["judged"] = rng.normal(size=(*shape, K)).astype(np.float32)
    luck = rng.random(shape)
    terminated, truncated = luck < ENDS / 2, (luck >= ENDS / 2) & (luck < ENDS)
    return SyntheticRollout(objective, columns, numbers, terminated, truncated, group, whole)


@dataclasses.dataclass(frozen=True)
class CreditedRows:
    """What came of a rollout."""

    places: list[Array]
    """The numbers of each row's steps."""
    values: Array
    """[N, C]: what the algorithm added to the steps."""
    columns: tuple[str, ...]
    """C names."""

    @property
    def index(self) -> dict[bytes, int]:
        """Where the row of these steps is."""
        return {place.tobytes(): i for i, place in enumerate(self.places)}


@dataclasses.dataclass(frozen=True)
class SyntheticRollout:
    """A rollout that never happened, of which single numbers can be changed."""

    objective: Objective[Any]
    columns: dict[str, Array]
    numbers: dict[str, Array]
    terminated: Array
    truncated: Array
    group: Array
    """[B]: copies that begin alike."""
    whole: bool
    """Whether each copy lives through one episode, which is compared with others of its group."""

    @property
    def paid(self) -> str:
        """The numbers that credit is given for."""
        return "judged" if "judged" in self.numbers else "rewards"

    @cached_property
    def ended(self) -> tuple[Array, Array]:
        """Where episodes end, and which steps belong to one, [T, B]."""
        done = self.terminated | self.truncated
        return mask_first_episodes(done) if self.whole else (done, np.ones_like(done))

    @cached_property
    def episode(self) -> Array:
        """[T, B]: the number of each step's episode, in its copy."""
        done = (self.terminated | self.truncated).astype(int)
        return np.cumsum(done, 0) - done

    def numbered(self) -> Iterator[tuple[str, int, int]]:
        """What is changed: all the numbers of some copies, of each group one."""
        valid = self.ended[1]
        T, B = valid.shape
        copies = np.linspace(0, B - 1, STARTS, dtype=int).tolist()
        for step, copy in itertools.product(range(T), copies):
            if valid[step, copy]:
                yield self.paid, copy, step
                yield "values", copy, step
            if valid[step, copy] and self.truncated[step, copy]:
                yield "final_values", copy, step
            if step == T - 1:
                yield "last_values", copy, step

    def rows(self, name: str = "", copy: int = 0, step: int = 0, size: float = 0) -> CreditedRows:
        """The algorithm's rows with one number set to this size."""
        n = {key: array.copy() for key, array in self.numbers.items()}
        if name:
            place = {"last_values": (copy,), "judged": (step, copy, 0)}.get(name, (step, copy))
            n[name][place] = size
        following = self.objective.bootstrap(
            n["values"], n["last_values"], self.terminated, self.truncated, n["final_values"]
        )
        columns = self.columns | {c: n[c] for c in ("judged",) if c in n}
        done, valid = (part.copy() for part in self.ended)
        rollout = Rollout(columns, n["rewards"], n["values"], following, done, valid)
        rows = self.objective.compute_advantages(rollout)
        marks = [_rows(rows[c]) for c in rows if c.endswith(PLACE)]
        places = [np.concatenate(parts) for parts in zip(*marks, strict=True)]
        added = [c for c in rows if not any(c == k or c.endswith(f".{k}") for k in columns)]
        values = [_numbers(rows[c], len(rows)) for c in added]
        names = tuple(c for c, part in zip(added, values, strict=True) for _ in part.T)
        table = np.concatenate(values, 1) if values else np.zeros((len(rows), 0))
        return CreditedRows(places, table, names)

    def change(self, name: str, copy: int, step: int) -> Change:
        """Set a number very low and very high, and compare the rows."""
        low, high = (self.rows(name, copy, step, size) for size in (-SIZE, SIZE))
        B, own = len(self.group), self._mask_own_episode(name, copy, step)
        may = (own | (self.whole & (self.group == self.group[copy]))).reshape(-1)
        changed, columns = _find_differing_rows(low, high, may)
        earlier = (own & (np.arange(len(own)) <= step)[:, None]).reshape(-1)
        leaked = np.concatenate([np.zeros(0, int), *(p for p in changed if not may[p].all())])
        leaked = leaked[~may[leaked]]
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
        """[T, B]: the steps of the episode that a number belongs to."""
        over = self.terminated | self.truncated
        number = self.episode[step, copy] + (name == "last_values" and over[step, copy])
        own = self.episode == number
        return own & (np.arange(own.shape[1]) == copy)


def _find_differing_rows(
    low: CreditedRows, high: CreditedRows, may: Array
) -> tuple[list[Array], tuple[str, ...]]:
    """The steps of each row that differs, and the columns in which those that must not do.

    ``may`` says of which steps a row may differ; others may only be scaled and shifted all alike.
    """
    first, second = low.index, high.index
    both = [key for key in first if key in second]
    one = low.values[[first[key] for key in both]]
    two = high.values[[second[key] for key in both]]
    places = [low.places[first[key]] for key in both]
    foreign = np.array([not may[p].all() for p in places], bool)
    differ = one != two
    if _scaled(one[foreign], two[foreign]):
        differ &= ~foreign[:, None]
    names = (n for n, d in zip(low.columns, differ[foreign].any(0), strict=True) if d)
    changed = [p for p, d in zip(places, differ.any(1), strict=True) if d]
    # Rows that came about in one case only, as a pair of other episodes.
    changed += [low.places[i] for key, i in first.items() if key not in second]
    changed += [high.places[i] for key, i in second.items() if key not in first]
    return changed, tuple(dict.fromkeys(names)) or ("pairing",)


def _rows(column: Any) -> list[Array]:
    """Each row of a column of numbers as an array."""
    if isinstance(column, Ragged):
        return np.split(column.values, column.offsets[1:-1])
    return list(np.reshape(column, (-1, 1)))


def _numbers(column: Any, count: int) -> Array:
    """A column as a matrix [N, C]; of rows of different length the sums."""
    if isinstance(column, Ragged):
        return np.array([[part.sum()] for part in _rows(column)], np.float64)
    return np.reshape(column, (count, -1)).astype(np.float64)


def _scaled(one: Array, two: Array) -> bool:
    """Whether two tables [N, C] are the same but for the mean and scale of each column."""

    def standard(table: Array) -> Array:
        return (table - table.mean(0)) / (table.std(0) + 1e-8)

    return len(one) > 0 and np.allclose(standard(one), standard(two), atol=SHARED)


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}" if number else ""
