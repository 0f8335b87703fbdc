"""What learnt choices are compared with: simple agents in the world, and PyAMG's own solvers.

No claim without them: on the post-mortem's law PyAMG's evolution measure already saves a third of
the default's work, and its root-node solver nearly half.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from envs import counter_rng
from envs.batched import Agent
from envs.edges import fsai, multigrid, selection
from envs.edges.instances import Matrix
from envs.edges.objectives import Fsai, Instance, Multigrid, Result, Sparsifier
from envs.pytree import Array, Floats, Keys

if TYPE_CHECKING:
    from envs.edges.world import EdgeSelection, State

THRESHOLDS = (-0.05, -0.1, -0.2, -0.3, -0.45, -0.7)
"""Thresholds of the oracle's rules: 4 scores x 6 = 24."""
QUARTER = float(np.log(0.25) / np.log(1e3))
"""The threshold that stands for |a_ij| >= .25 of the strongest."""


def make_rule_action(score: int, threshold: float, size: int) -> Floats:
    """The latent action [size] that looks at one score alone."""
    latent = np.full(size, -1.0)
    latent[score] = 1.0
    latent[4:] = 1 - 2 * np.sqrt(-threshold)
    return latent


def random_choice(world: EdgeSelection, state: State, keys: Keys) -> Array:
    """Any action of the space."""
    space = world.action_space
    u = counter_rng.uniform(keys, space.shape or ())
    if world.params.action == "latent":
        return (2 * u - 1).astype(np.float32)
    return np.floor(u * world.edges).astype(np.int64)


def oracle(world: EdgeSelection, state: State, keys: Keys) -> Array:
    """The best of 24 rules for each copy, found by trying them all (of 4, without a threshold)."""
    size = world.objective.latent
    plain = size == 4 or world.params.action == "edges"
    thresholds = THRESHOLDS[:1] if plain else THRESHOLDS
    rules = [make_rule_action(score, t, size) for score in range(4) for t in thresholds]
    actions: list[Array] = []
    for b in range(len(state.keys)):
        tried = [_action(world, state, b, latent) for latent in rules]
        rewards = [_reward(world, state, b, action) for action in tried]
        actions.append(tried[int(np.argmax(rewards))])
    return np.stack(actions)


def _follow(score: int, world: EdgeSelection, state: State, keys: Keys) -> Array:
    """The agent that looks at one score alone."""
    # Of a sparsifier's batch, edges may overlap by a quarter.
    threshold = -0.5 if isinstance(world.objective, Sparsifier) else QUARTER
    latent = make_rule_action(score, threshold, world.objective.latent)
    return np.stack([_action(world, state, b, latent) for b in range(len(state.keys))])


def _action(world: EdgeSelection, state: State, b: int, latent: Floats) -> Array:
    """A rule as an action of the world's space."""
    if world.params.action == "latent":
        return latent.astype(np.float32)
    instance, kept, scores = world.unpad_copy(state, b)
    priority = scores @ selection.weights(latent)
    starts = instance.graph.starts
    picks = np.full((world.decisions, world.picks), -1)
    picks[: len(starts) - 1] = selection.best_picks(priority, starts, world.picks, ~kept)
    return picks


def _reward(world: EdgeSelection, state: State, b: int, action: Array) -> float:
    instance, kept, scores = world.unpad_copy(state, b)
    chosen = world.choose_edges(instance.graph, kept, scores, action)
    level = float(state.level[b])
    return world.objective.evaluate(instance, kept | chosen, level, world.params.solve).reward


def make_agents(names: tuple[str, ...]) -> dict[str, Agent]:
    """The agents by name, given what the scores are called: one follows each score alone."""
    # Partial functions rather than closures: a world must be picklable.
    following = {f"by_{n}": functools.partial(_follow, score) for score, n in enumerate(names)}
    return {"random": random_choice, **following, "oracle": oracle}


@dataclasses.dataclass(frozen=True)
class Competitor:
    """How one solver fares on one matrix."""

    iterations: float
    """Of conjugate gradients, one V-cycle each, to 1e-8."""
    work: float
    """Products with A for each decimal digit of the residual."""
    operator_complexity: float
    """Entries of all levels' matrices over those of A."""
    setup_seconds: float
    """Time to build it."""


SOLVERS: Mapping[str, tuple[str, Any]] = {
    "sa_default": ("smoothed_aggregation", "symmetric"),
    "sa_evolution": ("smoothed_aggregation", "evolution"),
    "root_node_evolution": ("root_node", "evolution"),
    "ruge_stuben": ("ruge_stuben", ("classical", {"theta": 0.25})),
    "quarter": ("smoothed_aggregation", "quarter"),
}
"""PyAMG's solvers by name, with the strength each uses; ``quarter`` is |a_ij| >= .25."""


def evaluate_solver(name: str, matrix: Matrix, key: Keys) -> Competitor:
    """One of :data:`SOLVERS` on one matrix, with the right-hand sides of an instance's key [1]."""
    builder, strength = SOLVERS[name]
    if strength == "quarter":
        graph, _ = Multigrid(1, "smoothed_aggregation", "work").start(matrix, key)
        strength = multigrid.make_strength(
            multigrid.make_pattern(graph, graph.scores[:, 0] >= QUARTER)
        )
    made = multigrid.build_hierarchy(matrix, builder, strength)
    sides = multigrid.right_hand_sides(matrix.shape[0], counter_rng.fold(key, 2))
    found, work = multigrid.measure_hierarchy(matrix, made, sides, solve=True)
    return Competitor(found.iterations, work, made.operator_complexity, made.setup_seconds)


def evaluate_competitors(world: EdgeSelection, keys: Keys) -> dict[str, dict[str, Floats]]:
    """What is not an agent but belongs beside a policy: episode metrics [N] by name.

    PyAMG's own solvers (multigrid), with the seconds that building each takes; the best choice of
    all and none at all (fsai); the reference.
    """
    found: dict[str, list[dict[str, float]]] = {}
    whole = {"stage": float(world.stage), "length": 1.0}
    for b in range(len(keys)):
        instance = world.get_instance(keys[b : b + 1])
        for name, figures in _rivals(world, instance).items():
            ratio = figures["work_per_digit"] / instance.reference.work
            found.setdefault(name, []).append(figures | {"work_ratio": ratio, **whole})
    return {
        name: {figure: np.array([own[figure] for own in each]) for figure in each[0]}
        for name, each in found.items()
    }


def _rivals(world: EdgeSelection, instance: Instance) -> dict[str, dict[str, float]]:
    """Figures of one instance by name of the rival and of the figure."""
    if isinstance(world.objective, Multigrid):
        matrix, key = instance.graph.matrix, instance.key
        return {name: _solver_figures(evaluate_solver(name, matrix, key)) for name in SOLVERS}
    found = {"reference": _figures(instance.reference, np.nan)}
    if isinstance(world.objective, Fsai):
        chosen = {
            "none": np.zeros_like(instance.kept),
            "optimum": fsai.optimum(instance.graph, world.params.k),
        }
        for name, kept in chosen.items():
            own = world.objective.evaluate(instance, kept, 0.0, solve=True)
            found[name] = _figures(own, float(kept.mean()))
    return found


def _solver_figures(found: Competitor) -> dict[str, float]:
    return {
        "work_per_digit": found.work,
        "iterations": found.iterations,
        "operator_complexity": found.operator_complexity,
        "selected_fraction": np.nan,
        "setup_seconds": found.setup_seconds,
    }


def _figures(result: Result, share: float) -> dict[str, float]:
    return {
        "work_per_digit": result.work,
        "iterations": result.iterations,
        "operator_complexity": result.complexity,
        "selected_fraction": share,
    }


def measure_setup_seconds(world: EdgeSelection, keys: Keys, act: Callable[[Any], Array]) -> Floats:
    """What a user waits for before the first iteration [N], on episodes of keys [N].

    Scores, the agent's own time (``act(observation)``) and what the edges are for, such as PyAMG's
    hierarchy.
    """
    found = np.zeros(len(keys))
    for b in range(len(keys)):
        matrix, key = world.draw_matrix(keys[b : b + 1])
        start = time.perf_counter()
        world.objective.build(*world.choose_on_matrix(matrix, key, act))
        found[b] = time.perf_counter() - start
    return found


def compare_solvers(pairs: Iterable[tuple[Matrix, Keys]]) -> dict[str, dict[str, float]]:
    """Every competitor on matrices with their keys: means by name.

    ``work_ratio`` is the geometric mean of work per digit over that of PyAMG's default.
    """
    found: dict[str, list[Competitor]] = {name: [] for name in SOLVERS}
    for matrix, key in pairs:
        for name, own in found.items():
            own.append(evaluate_solver(name, matrix, key))
    usual = np.log([c.work for c in found["sa_default"]])
    return {
        name: {
            "work_ratio": float(np.exp((np.log([c.work for c in own]) - usual).mean())),
            "iterations": float(np.mean([c.iterations for c in own])),
            "work": float(np.mean([c.work for c in own])),
            "operator_complexity": float(np.mean([c.operator_complexity for c in own])),
            "setup_seconds": float(np.mean([c.setup_seconds for c in own])),
        }
        for name, own in found.items()
    }
