"""The tab with the ends of what the driver and the programs wrote."""

from __future__ import annotations

from html import escape
from pathlib import Path

from nicegui import ui

from cluster.pages.frame import paragraph
from cluster.pages.run_context import RunContext
from cluster.queue.orders import DRIVER_LOG

LOG_BYTES = 20_000
"""Bytes at the end of a log that are shown."""
MOST_LOGS = 40


class LogsTab:
    """The ends of what the driver and the programs wrote."""

    def __init__(self, run: RunContext) -> None:
        self.run = run
        self.content = ui.element("div")
        self.shown: dict[str, str] | None = None

    async def show(self) -> None:
        """Show the last lines of each file."""
        texts = await self.run.query(lambda view: read_log_texts(view.directory))
        if texts == self.shown:
            return
        self.shown = texts
        self.content.clear()
        with self.content:
            if not texts:
                paragraph("Nothing was written to a log of the driver or of a program.", "missing")
            for name, text in texts.items():
                with ui.expansion(name, value=len(texts) == 1).props("dense"):
                    ui.html(f"<pre>{escape(text)}</pre>", sanitize=False)


def read_log_texts(directory: Path, trial: str = "") -> dict[str, str]:
    """Return the ends of the logs in a run directory, or only of a trial, by their paths in it."""
    programs, trials = directory.glob("programs/*/*.log"), directory.glob("trials/**/*.log")
    paths = [directory / DRIVER_LOG, *sorted(programs), *sorted(trials)]
    paths = [path for path in paths if trial in ("", *path.relative_to(directory).parts)]
    texts: dict[str, str] = {}
    for path in paths[:MOST_LOGS]:
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - LOG_BYTES))
                texts[str(path.relative_to(directory))] = file.read().decode(errors="replace")
    return texts
