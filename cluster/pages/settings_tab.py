"""The tab with the settings: which of them mattered."""

from __future__ import annotations

from cluster.web.run_view import RunView
from tune_jobs.report.html_parts import Part, render_note
from tune_jobs.report.shared_sections import list_coordinate_parts, list_setting_parts


def build_settings(view: RunView) -> list[Part]:
    """Build the plots of the searched settings."""
    outcome = view.build_outcome()
    return [*list_setting_parts(outcome), *list_coordinate_parts(outcome)] or [
        render_note("There is no setting in which several trials with a score differ.")
    ]
