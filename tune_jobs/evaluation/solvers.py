"""What else an evaluation of edge selection tells: set-up times, cases, a matrix of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algos.policy import Policy
from envs import counter_rng
from envs.edges import multigrid, selection
from envs.edges.baselines import measure_setup_seconds
from envs.edges.objectives import Multigrid
from envs.edges.world import EdgeSelection
from envs.pytree import Array
from envs.validation import InputError
from tune_jobs.evaluation.evaluation_world import make_world
from tune_jobs.evaluation.players import EvaluatedEpisodes

EPSILONS = (0.0, 0.008, 0.063, np.inf)
"""Limits of the cases of anisotropy: thirds of ln .001 .. ln .5, weakest last."""
THETAS = (0.0, 15.0, 30.0, 45.0)
"""Limits of the cases of the angle to the nearest axis, in degrees."""


def make_comparison_kwargs(matrix: str, env: str) -> dict[str, Any]:
    """The arguments of EdgeSelection for a fair comparison, on the matrix of a file if named.

    Training repeats its matrices and predicts iterations from the first five; solvers stand beside
    a policy on matrices that it has not seen, solved to the end.

    Raises:
        InputError: another environment.
    """
    if env.removeprefix("envs:") != "EdgeSelection-v0":
        raise InputError(
            f"--matrix gives EdgeSelection-v0 a matrix to choose edges of, but this policy was "
            f"trained for {env}: leave it out."
        )
    fair = {"instances": 0, "solve": True}
    return fair | ({"matrix": matrix, "family": None, "sizes": ()} if matrix else {})


def make_edge_world(env_kwargs: Mapping[str, Any]) -> EdgeSelection:
    """The world in which a policy is evaluated."""
    world = make_world("envs:EdgeSelection-v0", env_kwargs)
    assert isinstance(world, EdgeSelection)  # noqa: S101
    return world


def add_setup_seconds(
    policy: Policy, world: EdgeSelection, found: Mapping[str, EvaluatedEpisodes], seed: int
) -> None:
    """Add the policy's ``setup_seconds`` [N] to its metrics, to stand beside those of solvers."""
    keys = counter_rng.make_keys(seed, len(found["policy"].metrics["work_ratio"]))
    seconds = measure_setup_seconds(world, keys, policy.act)
    for name in ("policy", "greedy"):
        found[name].metrics["setup_seconds"] = seconds


def compute_work_ratio_by_case(
    world: EdgeSelection, found: Mapping[str, EvaluatedEpisodes], seed: int
) -> list[dict[str, Any]]:
    """``work_ratio`` by name in each case of (epsilon, theta) that occurs; empty if there are none.

    Rows: {"epsilon": [low, high], "theta": [low, high], "episodes": n, "work_ratio": {name: x}}.
    """
    ratios = {name: own.metrics["work_ratio"] for name, own in found.items()}
    law = world.draw_case_parameters(counter_rng.make_keys(seed, len(ratios["policy"])))
    if not law:
        return []
    e = np.digitize(law["epsilon"], EPSILONS[1:-1])
    t = np.digitize(law["theta"], THETAS[1:-1])
    rows: list[dict[str, Any]] = []
    for i, j in sorted(set(zip(e.tolist(), t.tolist(), strict=True))):
        own = (e == i) & (t == j)
        rows.append(
            {
                "epsilon": [float(law["epsilon"][own].min()), float(law["epsilon"][own].max())],
                "theta": [THETAS[j], THETAS[j + 1]],
                "episodes": int(own.sum()),
                "work_ratio": {n: float(np.exp(np.log(r[own]).mean())) for n, r in ratios.items()},
            }
        )
    return rows


def make_advice(
    checkpoint: Path, world: EdgeSelection, found: Mapping[str, EvaluatedEpisodes]
) -> dict[str, Any]:
    """What the policy chose on a matrix of one's own, what that saves, and how to use it."""
    own = found["greedy"].metrics
    # Agents and rules are no solvers that a user could take instead.
    rivals = {n: e.metrics for n, e in found.items() if not e.actions}
    best = min(rivals, key=lambda name: rivals[name]["work_per_digit"][0])
    work = float(own["work_per_digit"][0])
    told: dict[str, Any] = {
        "nodes": world.nodes,
        "edges": world.edges,
        "selected": round(world.edges * float(own["selected_fraction"][0])),
        "saved": 1 - float(own["work_ratio"][0]),
        "best_solver": best,
        "work_against_best": work / float(rivals[best]["work_per_digit"][0]),
    }
    if world.params.action == "latent" and world.objective.steps == 1:
        told["weights"] = _weights(world, found["greedy"].actions[0][0])
    if isinstance(world.objective, Multigrid):
        told["call"] = _call(checkpoint, world.objective)
    return told


def _weights(world: EdgeSelection, latent: Array) -> dict[str, float]:
    """The share of each score in the choice and, if there is one, what part of the strongest."""
    shares = selection.weights(latent.astype(np.float64)).tolist()
    found = dict(zip(world.objective.score_names, shares, strict=True))
    if isinstance(world.objective, Multigrid):
        found["threshold"] = float(selection.relative(selection.threshold(latent)))
    return found


def _call(checkpoint: Path, objective: Multigrid) -> str:
    return (
        "import pyamg\n"
        "from algos.policy import Policy\n"
        "from envs.edges import strength_pattern\n"
        f"C = strength_pattern(A, Policy.load({str(checkpoint)!r}))\n"
        f"solver = {multigrid.format_pyamg_call(objective.builder)}"
    )
