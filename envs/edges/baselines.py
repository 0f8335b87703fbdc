"""Simple agents of EdgeSelection, to compare trained policies with.

Each is a function ``(task, state, keys [B]) -> actions [B, ...]`` that decides for all copies.
"""

from __future__ import annotations

import functools

import numpy as np

from envs.contract import counter_rng
from envs.contract.pytree import Array, Floats, Keys
from envs.contract.world import Agent
from envs.edges import selection
from envs.edges.objectives import Sparsifier
from envs.edges.state import State, Task

THRESHOLDS = (-0.05, -0.1, -0.2, -0.3, -0.45, -0.7)
"""Thresholds of the oracle's rules: 4 scores x 6 = 24."""
QUARTER = float(np.log(0.25) / np.log(1e3))
"""The threshold that stands for |a_ij| >= .25 of the strongest."""


def make_rule_action(score: int, threshold: float, size: int) -> Floats:
    """Return the latent action [size] that weighs one score alone."""
    latent = np.full(size, -1.0)
    latent[score] = 1.0
    # The inverse of selection.threshold.
    latent[4:] = 1 - 2 * np.sqrt(-threshold)
    return latent


def random_choice(task: Task, state: State, keys: Keys) -> Array:
    """Draw any action of the space."""
    space = task.action_space
    u = counter_rng.uniform(keys, space.shape or ())
    if task.params.action == "latent":
        return (2 * u - 1).astype(np.float32)
    return np.floor(u * task.edges).astype(np.int64)


def oracle(task: Task, state: State, keys: Keys) -> Array:
    """Choose the best of 24 rules for each copy by trying all (4 rules without a threshold)."""
    size = task.objective.latent
    # Picks have no threshold, so rules that differ by it alone are equal.
    plain = size == 4 or task.params.action == "edges"
    thresholds = THRESHOLDS[:1] if plain else THRESHOLDS
    rules = [make_rule_action(score, t, size) for score in range(4) for t in thresholds]
    actions: list[Array] = []
    for b in range(len(state.keys)):
        tried = [_action(task, state, b, latent) for latent in rules]
        rewards = [_reward(task, state, b, action) for action in tried]
        actions.append(tried[int(np.argmax(rewards))])
    return np.stack(actions)


def _follow(score: int, task: Task, state: State, keys: Keys) -> Array:
    """Act by one score alone."""
    # Edges of a sparsifier's batch may overlap by a quarter.
    threshold = -0.5 if isinstance(task.objective, Sparsifier) else QUARTER
    latent = make_rule_action(score, threshold, task.objective.latent)
    return np.stack([_action(task, state, b, latent) for b in range(len(state.keys))])


def _action(task: Task, state: State, b: int, latent: Floats) -> Array:
    """Convert a rule into an action of the world's space."""
    if task.params.action == "latent":
        return latent.astype(np.float32)
    instance, kept, scores = task.unpad_copy(state, b)
    priority = scores @ selection.weights(latent)
    starts = instance.graph.starts
    # Rows of padding keep -1.
    picks = np.full((task.decisions, task.picks), -1)
    picks[: len(starts) - 1] = selection.best_picks(priority, starts, task.picks, ~kept)
    return picks


def _reward(task: Task, state: State, b: int, action: Array) -> float:
    instance, kept, scores = task.unpad_copy(state, b)
    chosen = task.choose_edges(instance.graph, kept, scores, action)
    level = float(state.level[b])
    return task.objective.evaluate(instance, kept | chosen, level, task.params.solve).reward


def make_agents(names: tuple[str, ...]) -> dict[str, Agent]:
    """Return the agents by name; one follows each score alone."""
    # Partial functions rather than closures: a world must be picklable.
    following = {f"by_{n}": functools.partial(_follow, score) for score, n in enumerate(names)}
    return {"random": random_choice, **following, "oracle": oracle}
