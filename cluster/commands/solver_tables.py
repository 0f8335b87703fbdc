"""What ``rungwise evaluate`` adds in a world that compares policies with solvers."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from algos.policy import Policy
from envs import counter_rng
from envs.world import Comparison
from tune_jobs.evaluation.evaluate import Evaluation


def compare_with_solvers(
    policy: Policy, evaluation: Evaluation, seed: int, checkpoint: Path
) -> Comparison:
    """Add the world's measurements of the policy to its metrics; return the details to print.

    Both are empty in a world that compares policies with no solvers.

    Args:
        policy: the policy that was evaluated.
        evaluation: its episodes and those of the solvers, on the same seeds.
        seed: the first of these seeds.
        checkpoint: the policy's path.
    """
    world, found = evaluation.world, evaluation.episodes
    if world is None:
        return Comparison()
    keys = counter_rng.make_keys(seed, len(found["policy"]))
    measured = world.measure_player(keys, policy.act)
    for name in ("policy", "greedy"):
        found[name].metrics |= measured
    return world.describe_comparison(
        keys,
        {name: played.metrics for name, played in found.items()},
        [name for name, played in found.items() if not played.actions],
        found["greedy"].actions[0],
        str(checkpoint),
    )


def print_comparison(details: Comparison, console: Console) -> None:
    """Print the table and the text of a comparison with solvers."""
    if details.rows:
        table = Table(title=details.title, title_justify="left", box=None)
        for number, column in enumerate(details.columns):
            table.add_column(column, justify="right", no_wrap=number < 2)
        for row in details.rows:
            table.add_row(*row)
        console.print(table)
    for line in details.lines:
        console.print(line, highlight=False, soft_wrap=True)
