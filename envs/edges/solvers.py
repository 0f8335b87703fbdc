"""Solvers that a learnt choice of edges is compared with: PyAMG's own, and reference choices.

They are strong competitors: on the post-mortem's matrices PyAMG's evolution measure already saves a
third of the default's work, and its root-node solver nearly half.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from envs.contract import counter_rng
from envs.contract.pytree import Floats, Keys
from envs.edges import fsai, multigrid
from envs.edges.baselines import QUARTER
from envs.edges.instances import Matrix
from envs.edges.objectives import EdgeObjective, Fsai, Instance, Multigrid, Result


@dataclasses.dataclass(frozen=True)
class Competitor:
    """The figures of one solver on one matrix."""

    iterations: float
    """Iterations of conjugate gradients, one V-cycle each, to 1e-8."""
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
    """Evaluate one of :data:`SOLVERS` on one matrix and an instance's key [1]."""
    builder, strength = SOLVERS[name]
    if strength == "quarter":
        graph, _ = Multigrid(1, "smoothed_aggregation", "work").start(matrix, key)
        # PyAMG has no such rule by name, so the pattern is made here and handed over.
        strength = multigrid.make_strength(
            multigrid.make_pattern(graph, graph.scores[:, 0] >= QUARTER)
        )
    made = multigrid.build_hierarchy(matrix, builder, strength)
    sides = multigrid.right_hand_sides(matrix.shape[0], counter_rng.fold(key, 2))
    measured, work = multigrid.measure_hierarchy(matrix, made, sides, solve=True)
    return Competitor(measured.iterations, work, made.operator_complexity, made.setup_seconds)


def evaluate_competitors(
    objective: EdgeObjective, instances: Iterable[Instance]
) -> dict[str, dict[str, Floats]]:
    """Return the episode metrics [N] of solvers and reference choices, by name, on N instances.

    For multigrid these are PyAMG's solvers with their set-up times; for fsai the optimum and an
    empty choice; for fsai and the sparsifier the reference.
    """
    collected: dict[str, list[dict[str, float]]] = {}
    for instance in instances:
        for name, figures in _evaluate_on_instance(objective, instance).items():
            ratio = figures["work_per_digit"] / instance.reference.work
            collected.setdefault(name, []).append(figures | {"work_ratio": ratio})
    return {
        name: {figure: np.array([row[figure] for row in rows]) for figure in rows[0]}
        for name, rows in collected.items()
    }


def _evaluate_on_instance(
    objective: EdgeObjective, instance: Instance
) -> dict[str, dict[str, float]]:
    """Return the figures of every competitor on one instance, by its name."""
    if isinstance(objective, Multigrid):
        matrix, key = instance.graph.matrix, instance.key
        return {name: _list_solver_figures(evaluate_solver(name, matrix, key)) for name in SOLVERS}
    figures = {"reference": _list_result_figures(instance.reference, np.nan)}
    if isinstance(objective, Fsai):
        choices = {
            "none": np.zeros_like(instance.kept),
            "optimum": fsai.optimum(instance.graph, objective.k),
        }
        for name, kept in choices.items():
            result = objective.evaluate(instance, kept, 0.0, solve=True)
            figures[name] = _list_result_figures(result, float(kept.mean()))
    return figures


def _list_solver_figures(competitor: Competitor) -> dict[str, float]:
    return {
        "work_per_digit": competitor.work,
        "iterations": competitor.iterations,
        "operator_complexity": competitor.operator_complexity,
        "selected_fraction": np.nan,
        "setup_seconds": competitor.setup_seconds,
    }


def _list_result_figures(result: Result, share: float) -> dict[str, float]:
    return {
        "work_per_digit": result.work,
        "iterations": result.iterations,
        "operator_complexity": result.complexity,
        "selected_fraction": share,
    }
