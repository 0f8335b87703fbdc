"""Shared by all pages: the frame with its style, the desk they read from, refusals, following."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from nicegui import ui
from starlette.exceptions import HTTPException

from cluster.web.http_api import ApiHandlers
from cluster.web.run_index import RunIndex
from cluster.web.run_view import RunView
from rungwise.formatting import format_command
from rungwise.validation import find_nearest
from tune_jobs.jobs.job_yaml import mask_job_text
from tune_jobs.report.html_parts import STYLE, Part
from tune_jobs.report.trial_job import dump_trial_job, format_training, read_run_job

CHECK_INTERVAL_S = 0.25
"""Seconds between two checks of a page whether a log has grown."""
PROGRESS_S = 0.5
"""Seconds between two messages how much of a large log has been read."""
LOADING = (
    '<div id="loading" role="status">Loading…</div>'
    "<style>#loading{position:absolute;padding:1.5rem;color:#767676;"
    "font:15px system-ui,sans-serif} body:has(#app>*) #loading{display:none}</style>"
)
"""Painted at once, before the toolkit's scripts have been read."""
PLOT_CONFIG = {"displayModeBar": False, "responsive": True}
DRAW = """(id, figure) => { const newest = window.newestFigures ??= {}; newest[id] = figure;
const draw = left => { if (newest[id] !== figure) return; const plot = window.getElement(id);
if (plot?.Plotly && plot.$el.data) { delete newest[id];
plot.Plotly.react(plot.$el, figure.data, figure.layout, figure.config); }
else if (left) setTimeout(draw, 50, left - 1); else delete newest[id]; }; draw(1200); }"""
"""Draws once the toolkit has made the element, loaded Plotly and made the plot, all of which may
come after the figure, within a minute: unless a newer figure has come, or the plot is gone."""
OWN_STYLE = """
body { max-width: none; padding: 0; }
.nicegui-content { display: block; padding: 1rem 1.25rem 4rem; max-width: 1600px; margin: 0 auto; }
body { --q-primary: #1f6fb4 !important; }
body.body--dark { --q-primary: #7db8ea !important; }
a { color: #1f6fb4; } body.body--dark a { color: #7db8ea; }
h1, h2, h3 { line-height: 1.35; font-weight: 600; letter-spacing: 0; }
h1 { font-size: 1.5rem; margin: .2rem 0 0; } h2 { font-size: 1.1rem; margin: 1.4rem 0 .4rem; }
h3 { font-size: .9rem; margin: .8rem 0 0; }
p { margin: .3rem 0; }
nav.top { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; align-items: baseline; }
.row { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: center; }
.row:empty { display: none; }
.cards + .row { margin-top: .8rem; }
.plots { display: grid; gap: .4rem 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); }
.nicegui-expansion, .q-expansion-item { width: 100%; }
.plots > * { min-width: 0; } figure { margin: 0; } .plot { width: 100%; }
.q-tab-panels, .q-tab-panel { background: transparent; padding-left: 0; padding-right: 0; }
.q-tab-panel { display: block; } summary { display: list-item; }
.events { list-style: none; padding: 0; } .events li { margin: .3rem 0; overflow-wrap: anywhere; }
.events time { color: var(--soft); margin-right: .7rem; font-variant-numeric: tabular-nums; }
.events small { display: block; color: var(--soft); }
.ag-cell .chip { padding: 1px 8px; border-radius: 9px; color: #fff; background: #5d666d;
  font-size: 12px; line-height: 18px; white-space: nowrap; }
.chip.running { background: #1f6fb4 !important; } .chip.finished { background: #2b7a55 !important; }
.chip.failed { background: #b03a2e !important; } .chip.stopped { background: #9a5b13 !important; }
.nicegui-aggrid { width: 100%; }
@media (max-width: 600px) { .nicegui-content { padding: .8rem .7rem 3rem; } }
"""


@dataclass(frozen=True)
class Desk:
    """The runs that the pages read, and the API that acts on them."""

    runs: RunIndex
    api: ApiHandlers
    """Its handlers stop and resume; those of the API do the same."""

    @property
    def can_start(self) -> bool:
        """Whether there is a queue that starts runs."""
        return self.api.queue is not None

    def find_run(self, name: str) -> Path:
        """Return the directory of a run.

        Raises:
            HTTPException: there is none; the nearest name is in the sentence.
        """
        try:
            return self.runs.find_run(name)
        except HTTPException as error:
            names = [directory.name for directory in self.runs.list_runs()]
            raise HTTPException(404, f"{error.detail}{name_nearest(name, names)}") from None


def name_nearest(name: str, known: Sequence[str]) -> str:
    """Return a sentence with the known name that is most like this one; empty without any."""
    close = find_nearest(name, known)
    return f" The nearest is {close[0]}." if close else ""


def begin_page(title: str, *links: tuple[str, str]) -> None:
    """Set the title and the style of a page, and write its top line.

    Args:
        title: of the browser's tab.
        links: words and address of the pages above this one, the outermost first.
    """
    ui.page_title(f"{title} · Rungwise" if title else "Rungwise")
    ui.add_body_html(LOADING)
    ui.add_css(STYLE + OWN_STYLE)
    with ui.element("nav").classes("top").props('aria-label="Pages above"'):
        for words, address in links:
            ui.link(words, address)


def offer_command(label: str, *words: str | Path) -> None:
    """Offer a command of Rungwise to be copied."""
    command = format_command("rungwise", *words)
    offer_text(label, command, command)


def offer_text(label: str, text: str, hint: str) -> None:
    """Offer a text to be copied by a button, with what it holds as a hint."""

    def copy() -> None:
        ui.clipboard.write(text)
        ui.notify("Copied")

    ui.button(label, on_click=copy).props("flat dense no-caps").tooltip(hint)


def dump_trial_settings(directory: Path, config: Mapping[str, Any]) -> str:
    """Return the settings of a trial as a job file; empty where the job's file is gone."""
    job = read_run_job(directory)
    return mask_job_text(dump_trial_job(job, config)) if job else ""


def offer_settings(trial: str, job_yaml: str) -> None:
    """Offer the settings of a trial as a job, and the command that trains them."""
    if not job_yaml:  # the job's file is gone
        return
    file = f"trial-{trial}.yaml"
    with ui.element("div").classes("row"):
        hint = "A job file in YAML, without what is default"
        offer_text(f"Copy the settings of trial {trial} as a job", job_yaml, hint)
        command = format_training(file, job_yaml)
        offer_text("Copy the command that trains them", command, f"Writes {file} and trains it")


def heading(text: str, level: int = 1) -> ui.element:
    """Write a heading."""
    with ui.element(f"h{level}") as element:
        ui.html(escape(text), tag="span", sanitize=False)
    return element


def paragraph(text: str, kind: str = "") -> ui.html:
    """Write a paragraph of plain text, of a class of the style."""
    return ui.html(escape(text), tag="p", sanitize=False).classes(kind)


def show_parts(parts: Sequence[Part], level: int = 2) -> None:
    """Show parts of a report: HTML that is escaped, and figures with headings of a level."""
    with ui.element("div").classes("plots" if level > 2 else ""):
        for part in parts:
            if isinstance(part, str):
                ui.html(part, sanitize=False)
            elif isinstance(part, list):
                show_parts(part, level + 1)
            else:
                with ui.element("figure"):
                    if part.caption:
                        heading(part.caption, level)
                    show_plot(part.plot.to_plotly_json())


def show_plot(figure: dict[str, Any]) -> ui.plotly:
    """Show a figure given by its data and layout."""
    height = figure["layout"].get("height", 300)
    return ui.plotly({"config": PLOT_CONFIG} | figure).classes("plot").style(f"height: {height}px")


def _read_on(view: RunView) -> tuple[bool, int, float]:
    return view.refresh(), view.version, view.read_fraction


def draw_plot(plot: ui.plotly, figure: str) -> None:
    """Draw a figure, given as JSON, in place of what a plot shows.

    As a property of the element each of its numbers would be observed, which takes ten pages of a
    large run half a core.
    """
    plot.client.run_javascript(f"({DRAW})({plot.id}, {figure})")


class Follower:
    """Follows the log of a run for one page, and calls back whenever something new was read."""

    def __init__(
        self,
        desk: Desk,
        name: str,
        show: Callable[[], Awaitable[None]],
        show_progress: Callable[[float], None],
    ) -> None:
        self.desk, self.name, self.show, self.show_progress = desk, name, show, show_progress
        self.version = -1
        self._is_busy = False
        self._timer = ui.timer(CHECK_INTERVAL_S, self.check, immediate=True)

    async def check(self) -> None:
        """Read on, and show what is new."""
        if self._is_busy:  # the last check still reads or draws
            return
        self._is_busy = True
        try:
            told = time.monotonic()
            # One part per query, so that other pages are served between two.
            while True:
                more, version, fraction = await self.desk.runs.query_run(self.name, _read_on)
                if not more:
                    break
                # A table of a thousand trials that all change takes longer than reading on.
                if time.monotonic() > told + PROGRESS_S:
                    told = time.monotonic()
                    self.show_progress(fraction)
            if version != self.version:
                self.version = version
                await self.show()
        finally:
            self._is_busy = False
