"""The tab with the ledger: what was spent, saved and stopped."""

from __future__ import annotations

from cluster.web.run_view import RunView
from tune_jobs.report.html_parts import Part
from tune_jobs.report.shared_sections import list_ledger_parts


def build_ledger(view: RunView) -> list[Part]:
    """Build the ledger so far."""
    return list_ledger_parts(view.build_outcome())
