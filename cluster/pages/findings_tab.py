"""The tab with the findings, by symptom: evidence, trials, remedy, and the changed command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from nicegui import ui

from cluster.pages.curves import MAX_POINTS, MOST_GROUPS, plot_evidence
from cluster.pages.frame import heading, offer_text, paragraph, show_plot
from cluster.pages.parts_tab import PartsTab
from cluster.pages.run_context import RunContext
from cluster.web.run_view import RunView
from rungwise.formatting import count, format_identifier, format_names, format_values
from rungwise.health import RULES, SCORE, SEVERITIES
from rungwise.health.remedy import list_remedy_changes
from rungwise.run_log.events import DISPROVED, FindingRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.jobs.job import Job
from tune_jobs.report.trial_job import (
    UNUSABLE,
    dump_trial_job,
    format_training,
    make_trial_job,
    read_run_job,
)

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

    def _show_symptom(self, symptom: FoundSymptom) -> None:
        heading(symptom.title, 2)
        if symptom.siblings:
            paragraph(symptom.siblings)
        self._list_trials(symptom.rows[:MOST_SHOWN])
        if more := symptom.rows[MOST_SHOWN:]:
            with ui.expansion(count(len(more), "more trial")).props("dense"):
                self._list_trials(more)
        if symptom.plot is None:
            paragraph("The log has no metric that this rule reads.", "missing")
        else:
            show_plot(symptom.plot)
        for remedy in symptom.remedies:
            paragraph(f"Remedy: {remedy}")
        with ui.element("div").classes("row"):
            for label, command in symptom.commands.items():
                offer_text(label, command, "Writes the changed job to a file and trains it")

    def _list_trials(self, rows: Sequence[FindingRow]) -> None:
        lines = "".join(f"<li>{self._render(row)}</li>" for row in rows)
        ui.html(lines, tag="ol", sanitize=False).classes("findings")

    def _render(self, row: FindingRow) -> str:
        word, evidence = row.severity, row.evidence
        if row.withdrawn:
            word = "withdrawn"
            evidence += f". Withdrawn at iteration {row.withdrawn}: {DISPROVED}"
        # Relative to the page, which a proxy may have put below a prefix.
        address = f"{quote(self.run.name)}/trial/{quote(row.trial)}"
        return (
            f'<b class="{escape(word)}">{escape(word)}</b> '
            f'<a href="{escape(address)}">trial {escape(row.trial)}</a> '
            f"since iteration {row.since}: {escape(evidence)}"
        )


@dataclass(frozen=True)
class FoundSymptom:
    """A symptom of a run, with everything that the page shows of it."""

    title: str
    rows: tuple[FindingRow, ...]
    """The latest finding of each trial that has it, in time order."""
    siblings: str
    """The cause it points at, by the trials that have it; empty where too few show it."""
    plot: dict[str, Any] | None
    """The metric that its rule reads, with the onsets; None where the log has none."""
    remedies: tuple[str, ...]
    """The changes to try, with the trials where it differs between them."""
    commands: Mapping[str, str]
    """Commands that train a trial with a change of the remedy, by the words of a button."""


def list_symptoms(view: RunView) -> list[FoundSymptom]:
    """List the symptoms of a run, those that stand and are severe first."""
    outcome = view.outcome
    if outcome is None:
        return []
    by_symptom: dict[str, dict[str, FindingRow]] = {}
    for row in outcome.findings:
        by_symptom.setdefault(row.symptom, {})[row.trial] = row
    job, siblings = read_run_job(view.directory), outcome.siblings
    return [
        FoundSymptom(
            _describe(symptom),
            tuple(rows.values()),
            siblings.get(symptom, ""),
            _plot(view, outcome, symptom, rows),
            _list_remedies(rows.values()),
            _list_commands(job, outcome, symptom, rows) if job else {},
        )
        for symptom, rows in sorted(by_symptom.items(), key=lambda pair: _rank(pair[1].values()))
    ]


def _rank(rows: Iterable[FindingRow]) -> int:
    severities = list[str](SEVERITIES)
    return -max((severities.index(r.severity) for r in rows if not r.withdrawn), default=-1)


def _describe(symptom: str) -> str:
    words = format_identifier(symptom)
    return f"{words}: {RULES[symptom].title}" if symptom in RULES else words


def _plot(
    view: RunView, outcome: Outcome, symptom: str, rows: Mapping[str, FindingRow]
) -> dict[str, Any] | None:
    """Plot the first metric that the rule reads and the trials report."""
    # Those that stand come first; of many, as many are drawn as there are colours.
    shown = sorted(rows.values(), key=lambda row: row.withdrawn > 0)[:MOST_GROUPS]
    rule = RULES.get(symptom)
    if rule is None:
        return None
    # A rule that needs no metric reads all of them; that of numbers that are not finite does.
    needs = [n for need in rule.needs or (SCORE,) for n in (need, rule.stand_ins.get(need, need))]
    for name in dict.fromkeys(needs):
        metric = "" if name == SCORE else name
        curves = (view.read_curve(row.trial, metric, MAX_POINTS) for row in shown)
        if any(point.value is not None for curve in curves for point in curve):
            return plot_evidence(view, outcome, metric, {row.trial: row.since for row in shown})
    return None


def _list_remedies(rows: Iterable[FindingRow]) -> tuple[str, ...]:
    trials: dict[str, list[str]] = {}
    for row in rows:
        if row.remedy and not row.withdrawn:
            trials.setdefault(row.remedy, []).append(row.trial)
    if len(trials) == 1:
        return tuple(trials)
    return tuple(f"Trial {format_names(ids)}: {remedy}" for remedy, ids in trials.items())


def _list_commands(
    job: Job, outcome: Outcome, symptom: str, rows: Mapping[str, FindingRow]
) -> dict[str, str]:
    """Return what trains the best trial that has the symptom, with one change of the remedy each.

    Alone, because the steps of a remedy are tried in turn.
    """
    standing = {trial for trial, row in rows.items() if not row.withdrawn}
    trial = next((trial for trial in outcome.best_first if trial.id in standing), None)
    if trial is None or symptom not in RULES:
        return {}
    try:
        in_use = vars(make_trial_job(job, trial.config).training)
    except UNUSABLE:  # a program's settings are its own, and RLlib's have names of their own
        return {}
    commands: dict[str, str] = {}
    for name, value in list_remedy_changes(RULES[symptom].remedy, in_use).items():
        # The rule may have chosen another remedy for this run; what is switched on has no value.
        written = (f"`{name}=", f"`{name}`") if value is True else (f"`{name}=",)
        if not any(text in rows[trial.id].remedy for text in written):
            continue
        if changed := dump_trial_job(job, trial.config | {name: value}):
            words = f"Copy the command for trial {trial.id} with {format_values({name: value})}"
            commands[words] = format_training(f"trial-{trial.id}-{name}.yaml", changed)
    return commands
