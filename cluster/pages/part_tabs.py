"""The tabs that show sections of the report, the events, and the logs of programs."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from nicegui import events, ui

from cluster.dashboard.run_parts import PART_BUILDERS, dump_trial_settings, read_log_texts
from cluster.dashboard.run_texts import list_events
from cluster.dashboard.run_view import RunView
from cluster.pages.frame import offer_settings, paragraph, show_parts
from rungwise.formatting import format_time
from tune_jobs.report.html_parts import Part

if TYPE_CHECKING:
    from cluster.pages.run_context import RunContext

EVENT_KINDS = {"": "everything", "finding": "findings", "decision": "decisions", "end": "ends"}
MOST_EVENTS = 500
"""Events shown, the newest; a filter reaches the older ones."""


class PartsTab:
    """A tab with sections of the report, drawn when it is opened and by a button."""

    def __init__(self, run: RunContext, build: Callable[[RunView], Any]) -> None:
        self.run, self.build = run, build
        self.update = ui.button("Update", on_click=self._draw).props("outline dense no-caps")
        self.place = ui.element("div")
        self.is_drawn = False

    async def show(self) -> None:
        """Draw the sections once: a figure that is read must not move."""
        ended = self.run.outcome is not None and self.run.outcome.end is not None
        self.update.set_visibility(not ended)
        if not self.is_drawn:
            await self._draw()

    async def _draw(self) -> None:
        self.is_drawn = True
        built = await self.run.desk.query(self.run.name, self.build)
        self.place.clear()
        with self.place:
            self.fill(built)

    def fill(self, built: Any) -> None:
        """Draw what was built."""
        show_parts(built)


class ResultTab(PartsTab):
    """The tab with the result, and the winner's settings to be copied."""

    def __init__(self, run: RunContext) -> None:
        super().__init__(run, _build_result)

    def fill(self, built: tuple[list[Part], str, str]) -> None:
        """Draw the result."""
        parts, trial, settings = built
        offer_settings(trial, settings)
        show_parts(parts)


def _build_result(view: RunView) -> tuple[list[Part], str, str]:
    best = view.outcome.best if view.outcome else None
    settings = dump_trial_settings(view.directory, best.config) if best else ""
    return PART_BUILDERS["result"](view), best.id if best else "", settings


class EventsTab:
    """What happened, the newest first, by kind and trial."""

    def __init__(self, run: RunContext) -> None:
        self.run = run
        self.kind = ""
        ui.toggle(EVENT_KINDS, value="", on_change=self._filter).props(
            "no-caps dense unelevated toggle-color=grey-8"
        )
        self.note = paragraph("", "missing")
        self.list = ui.html("", tag="ol", sanitize=False).classes("events")

    async def _filter(self, event: events.ValueChangeEventArguments) -> None:
        self.kind = event.value
        await self.show()

    async def show(self) -> None:
        """List the events of the kind and of the selected trials."""
        events = await self.run.desk.query(
            self.run.name, lambda view: list_events(row for _, row in view.other_rows)
        )
        selected = self.run.selected
        shown = [
            event
            for event in reversed(events)
            if (not self.kind or event["kind"] == self.kind)
            and (not selected or not event["trial"] or event["trial"] in selected)
        ]
        note = f"Of the job and of trial {', '.join(selected)}. " if selected else ""
        note += "" if shown else "No event of this kind yet."
        if len(shown) > MOST_EVENTS:
            note += f"The newest {MOST_EVENTS} of {len(shown):,}."
        self.note.set_content(escape(note))
        self.list.set_content("".join(map(_render_event, shown[:MOST_EVENTS])))


def _render_event(event: dict[str, Any]) -> str:
    trial = f"Trial {event['trial']}: " if event["trial"] else ""
    text = f". {event['text']}" if event["text"] else ""
    severity = escape(event["severity"])
    word = f'<b class="{severity}">{severity}</b> ' if severity else ""
    remedy = f"<small>{escape(event['remedy'])}</small>" if event["remedy"] else ""
    moment = format_time(event["time"])
    return f"<li><time>{moment}</time>{word}{escape(trial + event['title'] + text)}{remedy}</li>"


class LogsTab:
    """The ends of what the driver and the programs wrote."""

    def __init__(self, run: RunContext) -> None:
        self.run = run
        self.place = ui.element("div")
        self.shown: dict[str, str] | None = None

    async def show(self) -> None:
        """Show the last lines of each file."""
        texts = await self.run.desk.query(
            self.run.name, lambda view: read_log_texts(view.directory)
        )
        if texts == self.shown:
            return
        self.shown = texts
        self.place.clear()
        with self.place:
            if not texts:
                paragraph("Nothing was written to a log of the driver or of a program.", "missing")
            for name, text in texts.items():
                with ui.expansion(name, value=len(texts) == 1).props("dense"):
                    ui.html(f"<pre>{escape(text)}</pre>", sanitize=False)
