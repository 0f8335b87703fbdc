"""What ``rungwise evaluate`` adds for edge selection: ratios by case, and a matrix of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from algos.policy import Policy
from tune_jobs.evaluation.players import EvaluatedEpisodes
from tune_jobs.evaluation.solvers import (
    add_setup_seconds,
    compute_work_ratio_by_case,
    make_advice,
    make_edge_world,
)


def prepare_solver_tables(
    policy: Policy,
    env_kwargs: Mapping[str, Any],
    found: Mapping[str, EvaluatedEpisodes],
    seed: int,
    checkpoint: Path,
) -> Callable[[Console], dict[str, Any]]:
    """Add set-up times to what was found; what prints the rest and returns it for the answer."""
    world = make_edge_world(env_kwargs)
    add_setup_seconds(policy, world, found, seed)
    if world.matrix is None:
        return partial(_show_cases, compute_work_ratio_by_case(world, found, seed))
    return partial(_show_advice, make_advice(checkpoint, world, found))


def _show_advice(advice: Mapping[str, Any], console: Console) -> dict[str, Any]:
    for line in _sentences(advice):
        console.print(line, highlight=False, soft_wrap=True)
    return {"matrix": advice}


def _show_cases(cases: Sequence[Mapping[str, Any]], console: Console) -> dict[str, Any]:
    if not cases:
        return {}
    # What looks at one score alone is in the table above; here it would only take room.
    hidden = ("policy", "random", "by_")
    names = [name for name in cases[0]["work_ratio"] if not name.startswith(hidden)]
    table = Table(title="Work ratio by anisotropy and angle", title_justify="left", box=None)
    for column in ("epsilon", "angle", "matrices", *(name.replace("_", " ") for name in names)):
        table.add_column(column, justify="right", no_wrap=column in ("epsilon", "angle"))
    for row in cases:
        (low, high), (left, right) = row["epsilon"], row["theta"]
        ratios = [f"{row['work_ratio'][name]:.3f}" for name in names]
        where = (f"{low:.2g}-{high:.2g}", f"{left:.0f}-{right:.0f}°", str(row["episodes"]))
        table.add_row(*where, *ratios)
    console.print(table)
    return {"cases": cases}


def _sentences(advice: Mapping[str, Any]) -> list[str]:
    lines = [
        f"Chosen: {advice['selected']:,} of {advice['edges']:,} edges of {advice['nodes']:,} nodes."
    ]
    if weights := dict(advice.get("weights", {})):
        threshold = weights.pop("threshold", None)
        parts = ", ".join(f"{name} {share:.0%}" for name, share in weights.items())
        limit = "" if threshold is None else f"; strong from {threshold:.2g} of the strongest on"
        lines.append(f"By: {parts}{limit}.")
    saved, against = advice["saved"], advice["work_against_best"]
    usual = "than the usual choice"
    lines.append(
        f"Work: {abs(saved):.0%} {'less' if saved >= 0 else 'more'} {usual}; {against:.2f} times "
        f"that of {advice['best_solver'].replace('_', ' ')}, the best of the others."
    )
    return [*lines, advice["call"]] if "call" in advice else lines
