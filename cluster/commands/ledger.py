"""``rungwise ledger``: what several runs cost and saved together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cluster.errors import Answer

HEAD = ("", "trials", "iterations", "steps", "time", "CPU time", "GPU time")


def summarise_ledgers(folders: Sequence[Path], console: Console) -> Answer:
    """Sum the ledgers of all runs in and below ``places``."""
    from tune_jobs.formatting import count, format_end_reason, format_percent
    from tune_jobs.run_log.ledger_summary import summarise_spending

    found = summarise_spending(folders)
    total = found["total"]
    console.print(count(len(found["runs"]), "run"), highlight=False)
    named = {format_end_reason(name): row for name, row in found["by_reason"].items()} | {
        "all": total
    }
    for title, ending in (("run", ""), ("not run (times estimated)", "_saved")):
        table = Table(title=title, title_justify="left", box=None)
        for place, name in enumerate(HEAD):
            table.add_column(name, justify="right" if place else "left", no_wrap=True)
        for name, row in named.items():
            table.add_row(name, *_figures(row, ending), style="bold" if row is total else "")
        console.print(table)
    full = total["iterations_run"] + total["iterations_saved"] + total["iterations_open"]
    share = format_percent(total["iterations_saved"] / full) if full else "-"
    still = count(int(total["iterations_open"]), "iteration")
    console.print(f"Saved: {share} of {full:,.0f} iterations. Open: {still}.", highlight=False)
    return found


def _figures(row: dict[str, Any], ending: str) -> list[str]:
    from tune_jobs.formatting import format_duration

    iterations = row["iterations_saved" if ending else "iterations_run"]
    times = (row[f"{name}{ending}"] for name in ("seconds", "cpu_seconds", "gpu_seconds"))
    steps = row[f"env_steps{ending}"]
    return [
        f"{row['trials']:,.0f}",
        f"{iterations:,.0f}",
        f"{steps:,.0f}",
        *map(format_duration, times),
    ]
