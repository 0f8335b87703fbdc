"""Probe ``memory``: does the reward depend on what was seen earlier?

Where an observation shows the whole state, the reward of a step depends on that observation and the
action alone: among steps with the same observation and action, rewards are independent of earlier
observations. This is tested for observations that recur exactly (cards, cells, words); continuous
ones never recur, and nothing can be said about them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.rollouts import Episode, sample_random_play

SYMPTOM = "needs_memory"
MEMORY_TASKS = ("popgym-", "MiniGrid-Memory", "MiniGrid-RedBlueDoors", "BabyAI-")
"""How ids of collections begin whose tasks hide a part of the state on purpose."""
LAGS = (1, 2, 3, 4, 5, 6, 8, 12, 16)
"""Numbers of steps between an observation and the reward that may depend on it."""
PERMUTATIONS = 50
"""Number of shuffles of the rewards that give the statistic's distribution without an effect."""
ERRORS, FRACTION = 8.0, 0.05
"""Standard deviations above that distribution, and fraction of the variance, of a finding."""
MIN_ROWS, MAX_ROWS = 200, 20_000
"""Smallest number of steps whose observation and action recur, and the largest number of steps that
are compared: each shuffle sorts them."""

Array = np.ndarray[Any, Any]
GetHistory: TypeAlias = Callable[[Sequence[int], int], int | None]
"""(keys of an episode's observations, step) -> a key; None leaves the step out."""


def probe_memory(target: CheckTarget, seconds: float) -> ProbeResult:
    """Test whether rewards depend on observations before those that the policy reads."""
    outcome = ProbeResult()
    settings: Any = target.settings
    if settings.memory != "none":
        outcome.not_judged[SYMPTOM] = f"the policy has a memory ({settings.memory})"
        return outcome
    depth = settings.frame_stack
    played = sample_random_play(target, seconds).episodes
    histories: dict[str, GetHistory] = {
        f"{lag} step{'s' * (lag > 1)} earlier": partial(_get_earlier, lag)
        for lag in LAGS
        if lag >= depth
    }
    histories["at the start of the episode"] = lambda keys, t: keys[0] if t >= depth else None
    results = {
        when: measure_dependence(played, get_history, depth)
        for when, get_history in histories.items()
    }
    rows = max(result[2] for result in results.values())
    when = max(results, key=lambda name: results[name][1])
    fraction, errors, _ = results[when]
    outcome.figures = {"rows": rows, "variance_fraction": fraction, "standard_deviations": errors}
    name = target.env.rpartition(":")[2]
    if errors >= ERRORS and fraction >= FRACTION:
        outcome.add_finding(
            SYMPTOM,
            "note",
            f"with the same {'observation' if depth == 1 else f'{depth} observations'} and action, "
            f"what was observed {when} explains {fraction:.0%} of the variance of the reward",
        )
    elif name.startswith(MEMORY_TASKS) and depth == 1:
        outcome.add_finding(
            SYMPTOM, "note", f"{name} belongs to a collection of tasks that are made for memory"
        )
    elif rows < MIN_ROWS:
        outcome.not_judged[SYMPTOM] = (
            f"observation and action of only {rows} steps of random play came again after another "
            f"past ({MIN_ROWS} are needed)"
        )
    return outcome


def _get_earlier(lag: int, keys: Sequence[int], t: int) -> int | None:
    """Return the key of what was observed ``lag`` steps before a step."""
    return keys[t - lag] if t >= lag else None


def measure_dependence(
    episodes: Sequence[Episode], get_history: GetHistory, depth: int = 1
) -> tuple[float, float, int]:
    """Measure how far rewards depend on a history, given the same observations and action.

    Args:
        episodes: the episodes of random play.
        get_history: what the rewards may depend on.
        depth: last observations that the policy reads at once.

    Returns:
        The fraction of the variance within equal stacks and actions that the history
        explains beyond chance, its distance from chance in standard deviations, and the number of
        steps that could be compared.
    """
    rows = [
        # Before the start the first observation stands for those before it, as in the policy.
        (hash((*(keys[max(s, 0)] for s in range(t - depth + 1, t + 1)), actions[t])), key, reward)
        for episode in episodes
        for keys, actions in [(episode.observation_keys, episode.action_keys)]
        for t, reward in enumerate(episode.rewards)
        if math.isfinite(reward) and (key := get_history(keys, t)) is not None
    ][:MAX_ROWS]
    if not rows:
        return 0.0, 0.0, 0
    group = np.unique([row[0] for row in rows], return_inverse=True)[1]
    pair = np.unique([hash(row[:2]) for row in rows], return_inverse=True)[1]
    rewards = np.array([row[2] for row in rows])
    # A group in which no history recurs, or with one history only, compares nothing.
    histories = np.bincount(group[np.unique(pair, return_index=True)[1]], minlength=group.max() + 1)
    sizes = np.bincount(group)
    used = ((histories > 1) & (histories < sizes))[group]
    group, pair, rewards = group[used], pair[used], rewards[used]
    if len(rewards) < MIN_ROWS:
        return 0.0, 0.0, len(rewards)
    rewards = rewards - _compute_means(group, rewards)[group]
    total = float((rewards**2).sum())
    if total <= 1e-12 * len(rewards):
        return 0.0, 0.0, len(rewards)
    chance = _compute_chance(group, pair, rewards)
    excess = _sum_squares(pair, rewards) - float(chance.mean())
    spread = max(float(chance.std()), 1e-9 * total)
    return excess / total, excess / spread, len(rewards)


def _compute_chance(group: Array, pair: Array, rewards: Array) -> Array:
    """Return the statistic [PERMUTATIONS] of rewards that are shuffled within their groups."""
    rng = np.random.default_rng(0)
    order = np.argsort(group, kind="stable")
    shuffled = np.empty_like(rewards)
    sums: list[float] = []
    for _ in range(PERMUTATIONS):
        # Sorted by group and, within it, by a random number.
        shuffled[order] = rewards[np.lexsort((rng.random(len(rewards)), group))]
        sums.append(_sum_squares(pair, shuffled))
    return np.array(sums)


def _sum_squares(pair: Array, rewards: Array) -> float:
    """Return the sum of squares between pairs, of rewards centred in their groups."""
    counts = np.bincount(pair)
    sums = np.bincount(pair, rewards)
    return float((sums[counts > 0] ** 2 / counts[counts > 0]).sum())


def _compute_means(group: Array, rewards: Array) -> Array:
    counts = np.bincount(group)
    return np.bincount(group, rewards) / np.maximum(counts, 1)
