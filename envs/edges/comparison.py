"""A policy compared with solvers: work ratios by anisotropy and angle, and advice for one matrix.

The functions here describe episodes that have been played; :mod:`envs.edges.solvers` plays them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from envs.contract.pytree import Array, Floats
from envs.contract.world import Comparison
from envs.edges import multigrid, selection
from envs.edges.objectives import Multigrid
from envs.edges.state import Task

EPSILONS = (0.0, 0.008, 0.063, np.inf)
"""Bounds of the cases of anisotropy: thirds of ln .001 .. ln .5, weakest last."""
THETAS = (0.0, 15.0, 30.0, 45.0)
"""Bounds of the cases of the angle to the nearest axis, in degrees."""
_HIDDEN = ("policy", "random", "by_")
"""Prefixes of the players left out of the table of cases, for lack of room."""


def describe_cases(
    parameters: Mapping[str, Floats], episodes: Mapping[str, Mapping[str, Floats]]
) -> Comparison:
    """Return the table of work ratios in each case of (epsilon, theta) that occurs.

    Args:
        parameters: ``epsilon`` and ``theta`` [N] of the matrices; empty where they have none.
        episodes: the metrics [N] of each player and solver, by name.
    """
    rows = compute_work_ratio_by_case(parameters, episodes)
    if not rows:
        return Comparison()
    names = [name for name in rows[0]["work_ratio"] if not name.startswith(_HIDDEN)]
    cells: list[tuple[str, ...]] = []
    for row in rows:
        (low, high), (least, most) = row["epsilon"], row["theta"]
        ratios = [f"{row['work_ratio'][name]:.3f}" for name in names]
        case = (f"{low:.2g}-{high:.2g}", f"{least:.0f}-{most:.0f}°", str(row["episodes"]))
        cells.append((*case, *ratios))
    return Comparison(
        answer={"cases": rows},
        title="Work ratio by anisotropy and angle",
        columns=("epsilon", "angle", "matrices", *(name.replace("_", " ") for name in names)),
        rows=tuple(cells),
    )


def compute_work_ratio_by_case(
    parameters: Mapping[str, Floats], episodes: Mapping[str, Mapping[str, Floats]]
) -> list[dict[str, Any]]:
    """Return the geometric mean of ``work_ratio`` by name in each case that occurs.

    Rows: {"epsilon": [low, high], "theta": [low, high], "episodes": n, "work_ratio": {name: x}}.
    """
    if not parameters:
        return []
    ratios = {name: metrics["work_ratio"] for name, metrics in episodes.items()}
    epsilon, theta = parameters["epsilon"], parameters["theta"]
    # Inner bounds only: every value falls into a case, those at the ends included.
    e = np.digitize(epsilon, EPSILONS[1:-1])
    t = np.digitize(theta, THETAS[1:-1])
    rows: list[dict[str, Any]] = []
    for i, j in sorted(set(zip(e.tolist(), t.tolist(), strict=True))):
        case = (e == i) & (t == j)
        rows.append(
            {
                "epsilon": [float(epsilon[case].min()), float(epsilon[case].max())],
                "theta": [THETAS[j], THETAS[j + 1]],
                "episodes": int(case.sum()),
                "work_ratio": {n: float(np.exp(np.log(r[case]).mean())) for n, r in ratios.items()},
            }
        )
    return rows


def describe_choice(
    task: Task,
    nodes: int,
    episodes: Mapping[str, Mapping[str, Floats]],
    solvers: Sequence[str],
    action: Array,
    checkpoint: str,
) -> Comparison:
    """Return what the policy chose on a user's matrix, what that saves, and how to use it."""
    greedy = episodes["greedy"]
    best = min(solvers, key=lambda name: episodes[name]["work_per_digit"][0])
    work = float(greedy["work_per_digit"][0])
    advice: dict[str, Any] = {
        "nodes": nodes,
        "edges": task.edges,
        "selected": round(task.edges * float(greedy["selected_fraction"][0])),
        "saved": 1 - float(greedy["work_ratio"][0]),
        "best_solver": best,
        "work_against_best": work / float(episodes[best]["work_per_digit"][0]),
    }
    if task.params.action == "latent" and task.objective.steps == 1:
        advice["weights"] = _read_weights(task, action)
    if isinstance(task.objective, Multigrid):
        advice["call"] = _format_code(checkpoint, task.objective)
    return Comparison(answer={"matrix": advice}, lines=tuple(_format_advice(advice)))


def _read_weights(task: Task, latent: Array) -> dict[str, float]:
    """Return the share of each score in the choice and, if there is one, the relative threshold."""
    shares = selection.weights(latent.astype(np.float64)).tolist()
    weights = dict(zip(task.objective.score_names, shares, strict=True))
    if isinstance(task.objective, Multigrid):
        weights["threshold"] = float(selection.relative(selection.threshold(latent)))
    return weights


def _format_code(checkpoint: str, objective: Multigrid) -> str:
    return (
        "import pyamg\n"
        "from algos.policy import Policy\n"
        "from envs.edges import strength_pattern\n"
        f"C = strength_pattern(A, Policy.load({checkpoint!r}))\n"
        f"solver = {multigrid.format_pyamg_call(objective.builder)}"
    )


def _format_advice(advice: Mapping[str, Any]) -> list[str]:
    lines = [
        f"Chosen: {advice['selected']:,} of {advice['edges']:,} edges of {advice['nodes']:,} nodes."
    ]
    if weights := dict(advice.get("weights", {})):
        threshold = weights.pop("threshold", None)
        parts = ", ".join(f"{name} {share:.0%}" for name, share in weights.items())
        limit = "" if threshold is None else f"; strong from {threshold:.2g} of the strongest on"
        lines.append(f"Weights: {parts}{limit}.")
    saved, ratio = advice["saved"], advice["work_against_best"]
    lines.append(
        f"Work: {abs(saved):.0%} {'less' if saved >= 0 else 'more'} than the reference; "
        f"{ratio:.2f} times that of {advice['best_solver'].replace('_', ' ')}, the best of the "
        "solvers."
    )
    return [*lines, advice["call"]] if "call" in advice else lines
