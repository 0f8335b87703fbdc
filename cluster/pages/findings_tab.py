"""The tab with the findings, by symptom: evidence, trials, remedy, and the changed command."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from nicegui import ui

from cluster.dashboard.found_symptoms import FoundSymptom, list_symptoms
from cluster.pages.frame import heading, offer_text, paragraph, show_plot
from cluster.pages.part_tabs import PartsTab
from rungwise.formatting import count
from rungwise.run_log.events import DISPROVED, FindingRow

if TYPE_CHECKING:
    from cluster.pages.run_context import RunContext

MOST_SHOWN = 8
"""Trials of a symptom that are listed at once; the others are folded away."""


class FindingsTab(PartsTab):
    """The findings, drawn when the tab is opened and by a button."""

    def __init__(self, run: RunContext) -> None:
        super().__init__(run, list_symptoms)

    def fill(self, built: list[FoundSymptom]) -> None:
        """Draw the symptoms."""
        if not built:
            paragraph("The health rules found nothing.", "missing")
        for symptom in built:
            self._show_symptom(symptom)

    def _show_symptom(self, found: FoundSymptom) -> None:
        heading(found.title, 2)
        if found.siblings:
            paragraph(found.siblings)
        self._list_trials(found.rows[:MOST_SHOWN])
        if more := found.rows[MOST_SHOWN:]:
            with ui.expansion(count(len(more), "more trial")).props("dense"):
                self._list_trials(more)
        if found.plot is None:
            paragraph("The log has no metric that this rule reads.", "missing")
        else:
            show_plot(found.plot)
        for remedy in found.remedies:
            paragraph(f"Remedy: {remedy}")
        with ui.element("div").classes("row"):
            for label, command in found.commands.items():
                offer_text(label, command, "Writes the changed job to a file and trains it")

    def _list_trials(self, rows: Sequence[FindingRow]) -> None:
        lines = "".join(f"<li>{self._render(row)}</li>" for row in rows)
        ui.html(lines, tag="ol", sanitize=False).classes("findings")

    def _render(self, row: FindingRow) -> str:
        word, evidence = row.severity, row.evidence
        if row.withdrawn:
            word = "withdrawn"
            evidence += f". Withdrawn at iteration {row.withdrawn}: {DISPROVED}"
        address = f"/run/{quote(self.run.name)}/trial/{quote(row.trial)}"
        return (
            f'<b class="{escape(word)}">{escape(word)}</b> '
            f'<a href="{escape(address)}">trial {escape(row.trial)}</a> '
            f"since iteration {row.since}: {escape(evidence)}"
        )
