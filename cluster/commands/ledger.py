"""``rungwise ledger``: what several runs spent and saved in total."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from cluster.commands.command import Command
from cluster.errors import Answer

COLUMNS = ("", "trials", "iterations", "steps", "time", "CPU time", "GPU time")


@dataclass(frozen=True, kw_only=True)
class Ledger(Command):
    """Sum up what runs spent and saved, by the reason each trial ended."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Run directories, or folders with runs below them."""

    def __call__(self, console: Console) -> Answer:
        """Read the ledgers and print the sums."""
        from rungwise.formatting import count, format_end_reason, format_percent
        from rungwise.run_log.ledger_summary import summarise_spending

        answer = summarise_spending(self.runs)
        total = answer["total"]
        console.print(count(len(answer["runs"]), "run"), highlight=False)
        by_reason = {format_end_reason(name): row for name, row in answer["by_reason"].items()}
        rows = by_reason | {"all": total}
        for title, suffix in (("run", ""), ("not run (times estimated)", "_saved")):
            table = Table(title=title, title_justify="left", box=None)
            for column, name in enumerate(COLUMNS):
                table.add_column(name, justify="right" if column else "left", no_wrap=True)
            for name, row in rows.items():
                style = "bold" if row is total else ""
                table.add_row(name, *_format_row(row, suffix), style=style)
            console.print(table)
        full = total["iterations_run"] + total["iterations_saved"] + total["iterations_open"]
        share = format_percent(total["iterations_saved"] / full) if full else "-"
        remaining = count(int(total["iterations_open"]), "iteration")
        console.print(
            f"Saved: {share} of {full:,.0f} iterations. Open: {remaining}.", highlight=False
        )
        if observed := total["iterations_observed"]:
            console.print(
                f"Observed: {format_percent(observed / full)} more would have been saved by jobs "
                "that only observed.",
                highlight=False,
            )
        return answer


def _format_row(row: dict[str, Any], suffix: str) -> list[str]:
    """Format the cells of a row; the suffix chooses between what was run and what was saved."""
    from rungwise.formatting import format_duration

    iterations = row["iterations_saved" if suffix else "iterations_run"]
    times = (row[f"{name}{suffix}"] for name in ("seconds", "cpu_seconds", "gpu_seconds"))
    return [
        f"{row['trials']:,.0f}",
        f"{iterations:,.0f}",
        f"{row[f'env_steps{suffix}']:,.0f}",
        *map(format_duration, times),
    ]
