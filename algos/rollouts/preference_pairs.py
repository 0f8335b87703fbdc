"""Preference pairs: a better and a worse action or episode from the same state.

A pair is one row, which shuffling and sharding never cut: the better and the worse steps as Ragged
columns ``chosen.*`` and ``rejected.*`` (a single step each where candidates for one action were
compared, whole episodes where those from the same start were) and how much better, ``gap [N]``.

Candidates are judged in the environment, which counts the cost, or by the predictions of the
world's own student, which cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from algos.actions.array_backend import get_array_module
from algos.rollouts.columns import Columns, Ragged
from algos.rollouts.env_runner import ColumnRunner
from algos.rollouts.rollout_io import read_columns
from algos.settings.dpo import IMAGINED
from envs.contract import counter_rng
from envs.contract.pytree import take
from envs.contract.world import World
from rungwise.validation import InputError

Array = np.ndarray[Any, Any]


class CandidateRunner(ColumnRunner):
    """A runner that tries K actions from the same state before each step, and judges them."""

    def _act(
        self, columns: dict[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array], Array, dict[str, Array]]:
        """Return the step to execute (see :class:`ColumnRunner`), one of K candidates."""
        if "candidates" not in self.needs:
            return super()._act(columns)
        policy: Any = self.module
        K, B, world = self.settings.candidates, self.env.num_envs, self.env.world
        # Candidates of one copy are neighbouring rows [B K]: reshape(B, K) separates them
        # again.
        again = np.repeat(np.arange(B), K)
        every, logps, value, _ = policy.act_on_arrays(
            {name: column[again] for name, column in columns.items()}, self.generator
        )
        state, tried = take(self.env.state, again), policy.head.to_env_action(every)
        if self.settings.pairs == IMAGINED:
            judged = self._call_env(world.predict_rewards, state, tried)
        else:
            judged = self._call_env(world.step, state, tried).reward
            # The one that is done is not paid for twice: its rows are drawn again, the same.
            self.env.state = world.charge_lookahead(self.env.state, K - 1)
        judged = judged.reshape(B, K)
        # Candidate 0 was drawn like any other, so executing it keeps the data on-policy.
        rows = np.arange(B) * K
        extra = {
            f"candidates.{name}": part.reshape(B, K, *part.shape[1:])
            # With their log-probabilities, from which the KL of the update is estimated.
            for name, part in (every | {"logp": logps["logp"]}).items()
        }
        extra |= {"judged": judged, "logp": logps["logp"][rows]}
        return {name: part[rows] for name, part in every.items()}, extra, value[rows], {}


def check_reward_prediction(world: World[Any] | None, env_id: str) -> None:
    """Make sure that a world's own student can judge candidates.

    Raises:
        InputError: there is no student, or it cannot predict such a reward.
    """
    predicted = None
    if world is not None:
        keys = counter_rng.make_keys(0, 1)
        state, _ = world.reset(keys)
        action = world.baselines["random"](world, state, keys)
        predicted = world.predict_rewards(state, action)
    if predicted is None:
        raise InputError(
            f"{env_id} has no student inside that could imagine what actions bring: set "
            "pairs='candidates', or take an environment with one (CausalLearning-v0)."
        )


def make_candidate_pairs(steps: Columns) -> Columns:
    """Return at most N pairs of steps [N] with ``candidates.* [N, K, ...]`` and ``judged [N, K]``.

    The best candidate against the worst, where they differ.
    """
    judged: Array = steps["judged"]
    every = np.arange(len(judged))
    best, worst = judged.argmax(1), judged.argmin(1)
    gap = judged[every, best] - judged[every, worst]
    start = "candidates."
    tried = {name.removeprefix(start): steps[name] for name in steps if name.startswith(start)}
    observation = {name: steps[name] for name in steps if name.split(".")[0] == "obs"}
    pairs = {"gap": gap}
    for side, index in (("chosen", best), ("rejected", worst)):
        columns = observation | {name: column[every, index] for name, column in tried.items()}
        pairs |= {f"{side}.{name}": _to_single_steps(column) for name, column in columns.items()}
    # Equal candidates state no preference. A NaN compares false and is left out as well.
    return Columns(pairs).select(np.flatnonzero(gap > 0))


def make_episode_pairs(episodes: Columns, returns: Array, starts: Array) -> Columns:
    """Return a pair for each start of episodes [E] with returns [E] and starts [E].

    The best episode against the worst, where they differ.
    """
    # Sorted by start, then by return: each run of equal starts begins with its worst episode
    # and ends with its best. The prepended number differs from the first start and opens the
    # first run.
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


# Every iteration asks for the pairs, of the same folder: it is read once in a process.
@lru_cache(maxsize=1)
def load_recorded_pairs(folder: str, gamma: float) -> Columns:
    """Load the pairs of recorded rollouts: of candidates where there are any, else of episodes.

    Episodes are compared by their returns, discounted by ``gamma``.

    Raises:
        InputError: rollouts in which nothing began alike, or nothing differed.
    """
    rows = read_columns(Path(folder))
    if "judged" in rows:
        pairs = make_candidate_pairs(rows)
    elif {"start", "episode", "reward"} <= set(rows):
        pairs = make_episode_pairs(*_group_into_episodes(rows, gamma))
    else:
        raise InputError(
            f"The rollouts in {folder} are no pairs: they have neither candidates nor episodes "
            "from the same start. Record them with an algorithm that collects groups (grpo)."
        )
    if not len(pairs):
        raise InputError(f"In the rollouts in {folder} nothing was better than anything else.")
    return pairs


def _group_into_episodes(steps: Columns, gamma: float) -> tuple[Columns, Array, Array]:
    """Return episodes [E] of Ragged steps, their returns [E] and starts [E]."""
    # Stable: the steps of an episode keep the order in which they were recorded.
    order = np.argsort(steps["episode"], kind="stable")
    steps = steps.select(order)
    first = np.flatnonzero(np.diff(steps["episode"], prepend=steps["episode"][0] - 1))
    offsets = np.append(first, len(steps))
    lengths = np.diff(offsets)
    kept = {name: steps[name] for name in steps if name not in ("reward", "done", "episode")}
    episodes = Columns({name: Ragged(column, offsets) for name, column in kept.items()})
    # In float64, as the returns of rollouts.
    discounts = gamma ** (np.arange(len(steps), dtype=np.float64) - np.repeat(first, lengths))
    return episodes, np.add.reduceat(steps["reward"] * discounts, first), steps["start"][first]


def _to_single_steps(column: Array) -> Ragged:
    return Ragged(column, np.arange(len(column) + 1))


def concat_pair_steps(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the steps of all better halves and then of all worse ones, as one table."""
    start = "chosen."
    # One forward pass serves both halves; the caller splits the result at len(chosen).
    names = [name.removeprefix(start) for name in pairs if name.startswith(start)]
    return {
        name: get_array_module(both[0]).concatenate(both)
        for name in names
        if (both := [pairs[f"{side}.{name}"].values for side in ("chosen", "rejected")])
    }
