"""Content of the tabs of the page, which are drawn on request: parts of the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from cluster.dashboard.run_view import RunView
from envs.validation import InputError
from tune_jobs.report.episode_figure import render_episode_section
from tune_jobs.report.html_parts import Part
from tune_jobs.report.shared_sections import (
    list_choice_parts,
    list_ledger_parts,
    list_node_parts,
    list_setting_parts,
)
from tune_jobs.run_log.outcome import Outcome


def build_tab(view: RunView, name: str) -> list[dict[str, Any]]:
    """Build the parts of a tab: ``html``, or a ``figure`` for Plotly with its ``caption``.

    Raises:
        InputError: there is no such tab, or the run has no rows yet.
    """
    if name not in TAB_BUILDERS:
        raise InputError(f"There is no tab {name!r}: known are {', '.join(TAB_BUILDERS)}.")
    # Only the best trial gets all stored results, for its choices over time: each of them is read
    # from the log.
    best = view.build_outcome().best
    outcome = view.build_outcome(full_trial=best.id if best else "")
    return _list_for_json(TAB_BUILDERS[name](outcome))


def _build_picture(outcome: Outcome) -> list[Part]:
    episode = outcome.evaluation.experiment if outcome.evaluation else {}
    nodes = "<h3>Loss of each node by interventions</h3>"
    return [
        "".join(render_episode_section(episode)),
        *list_choice_parts(outcome),
        nodes,
        *list_node_parts(outcome.evaluation),
    ]


TAB_BUILDERS: dict[str, Callable[[Outcome], list[Part]]] = {
    "comparison": list_setting_parts,
    "ledger": list_ledger_parts,
    "picture": _build_picture,
}
"""Builder of each tab by its name."""


def _list_for_json(parts: Sequence[Part]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, str):
            found.append({"html": part})
        elif isinstance(part, list):
            found += _list_for_json(part)
        else:
            figure = json.loads(part.plot.to_json() or "{}")
            shown = {"data": figure["data"], "layout": figure["layout"]}
            found.append({"caption": part.caption, "figure": shown, "wide": part.wide})
    return found
