"""Words of the page about a run: its state, its events each once, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cluster.queue.orders import get_run_state
from rungwise.formatting import count, format_duration, format_end_reason, format_identifier
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
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.shared_sections import Card, describe_job


def describe_run(outcome: Outcome, directory: Path) -> str:
    """Describe a run in one line of HTML: its job and its state."""
    state, message = get_run_state(directory)
    return escape(f"{describe_job(outcome.job)} · {message or state}")


def render_cards(cards: Sequence[Card]) -> str:
    """Render the large figures at the top."""
    return "".join(
        f"<div><span>{escape(card.name)}</span><strong>{escape(card.value)}</strong>"
        f"<small>{escape(card.note)}</small></div>"
        for card in cards
    )


def list_actions(
    outcome: Outcome, selected: Sequence[str], can_start: bool
) -> list[tuple[str, str]]:
    """List what can be done with a run and the selected trials: label, and trial (empty: all)."""
    ended = outcome.end is not None
    actions: list[tuple[str, str]] = []
    if not ended:
        actions.append(("Stop this job", ""))
    elif can_start:
        actions.append(("Resume this job", ""))
    for trial in outcome.trials:
        if trial.id not in selected:
            continue
        if trial.end_reason is None and not ended:
            actions.append((f"Stop trial {trial.id}", trial.id))
        if trial.end_reason == "stopped" and can_start:
            actions.append((f"Resume trial {trial.id}", trial.id))
    return actions


SHOWN = (LogRow, DecisionRow, FindingRow, EndRow, ObservedEndRow, JobEndRow, JobRow)
"""The rows that are events for people."""


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
