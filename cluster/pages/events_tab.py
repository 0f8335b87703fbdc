"""The tab with the events: decisions, findings and ends in words, the newest first."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from nicegui import events, ui

from cluster.pages.frame import paragraph
from cluster.pages.run_context import RunContext
from rungwise.formatting import (
    count,
    format_duration,
    format_end_reason,
    format_identifier,
    format_time,
)
from rungwise.health.record import describe_record
from rungwise.run_log.events import (
    DISPROVED,
    DecisionRow,
    EndRow,
    FindingRow,
    JobEndRow,
    JobRow,
    LogRow,
    ObservedEndRow,
    Row,
)

EVENT_KINDS = {"": "everything", "finding": "findings", "decision": "decisions", "end": "ends"}
MOST_EVENTS = 500
"""Events shown, the newest; a filter reaches the older ones."""
SHOWN = (LogRow, DecisionRow, FindingRow, EndRow, ObservedEndRow, JobEndRow, JobRow)
"""The rows that are events for people."""


class EventsTab:
    """The events, the newest first, by kind and trial."""

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
        events = await self.run.query(lambda view: list_events(row for _, row in view.other_rows))
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


def list_events(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """List decisions, findings and ends in words, in log order, each once.

    A decision that ends a trial is left out: the end that follows says the same.
    """
    return [
        _describe_event(row)
        for row in rows
        if isinstance(row, SHOWN) and not (isinstance(row, DecisionRow) and not row.keep)
    ]


def _describe_event(row: Row) -> dict[str, Any]:
    event: dict[str, Any] = {"time": row.time, "kind": row.kind, "trial": getattr(row, "trial", "")}
    event |= {"severity": "", "text": "", "remedy": ""}
    match row:
        case FindingRow() if row.withdrawn:
            event["severity"] = "note"
            event["title"] = (
                f"{format_identifier(row.symptom)} is withdrawn at iteration {row.withdrawn}"
            )
            event["text"] = _make_sentence(DISPROVED)
        case FindingRow():
            event["severity"] = row.severity
            event["title"] = f"{format_identifier(row.symptom)} since iteration {row.since}"
            record = describe_record(row.symptom, row.severity)
            texts = map(_make_sentence, (row.evidence, record, row.siblings))
            event["text"] = " ".join(filter(None, texts))
            event["remedy"] = row.remedy
        case LogRow():
            event["title"] = f"is followed in {row.path}"
            others = f"; not followed: {', '.join(row.others)}" if row.others else ""
            event["text"] = _make_sentence(row.format + others)
        case DecisionRow():
            event["title"] = row.sentence
        case EndRow():
            event["title"] = (
                f"ended after {count(row.iteration, 'iteration')}: {format_end_reason(row.reason)}"
            )
            event["text"] = _make_sentence(row.sentence)
        case ObservedEndRow():
            event["title"] = f"would have been ended: {format_end_reason(row.reason)}"
            event["text"] = _make_sentence(row.sentence)
        case JobEndRow():
            event["title"] = f"the job ended: {row.reason}, after {format_duration(row.seconds)}"
            event["text"] = _make_sentence(row.sentence)
        case JobRow():
            event["title"] = "the job was resumed" if row.resumed else "the job started"
            if row.extension:
                event["title"] = f"the job was extended: {row.extension}"
        case _:
            pass
    return event


def _make_sentence(text: str) -> str:
    """Return the text with a capital letter and a full stop."""
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith((".", "?", "!")) else text + "."
