"""The page of one trial: its settings, curves with findings, checkpoints, videos and log."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from nicegui import ui
from starlette.exceptions import HTTPException

from cluster.pages.curves_tab import CurvesTab
from cluster.pages.frame import (
    Desk,
    Follower,
    begin_page,
    dump_trial_settings,
    heading,
    name_nearest,
    offer_command,
    offer_settings,
    paragraph,
)
from cluster.pages.logs_tab import read_log_texts
from cluster.pages.run_context import RunContext
from rungwise.formatting import count, format_identifier, format_number, format_values
from rungwise.run_log.trial_outcome import TrialOutcome
from tune_jobs.jobs.job import Job
from tune_jobs.report import report
from tune_jobs.report.html_parts import render_note, section, table
from tune_jobs.report.run_sections import describe_video
from tune_jobs.report.trial_job import UNUSABLE, TrialSetting, list_trial_settings, read_run_job


class TrialPage:
    """The page of a trial."""

    def __init__(self, desk: Desk, name: str, trial: str) -> None:
        self.run, self.trial = RunContext(desk, name, selected=[trial]), trial
        self.curves: CurvesTab | None = None
        self.drawn = self.settings = ""
        begin_page(f"{trial} of {name}", ("All runs", "/"), (name, f"/run/{quote(name)}"))
        heading(f"Trial {trial}")
        self.about = paragraph("Reading its log", "missing").props("role=status")
        self.offers = ui.element("div")
        self.parts = ui.html("", sanitize=False)
        heading("Curves", 2)
        self.plots = ui.element("div")
        self.files = ui.element("div")
        self.follower = Follower(desk, name, self._show, lambda _: None)

    @classmethod
    async def open(cls, desk: Desk, name: str, trial: str) -> TrialPage:
        """Build the page that an address names.

        Raises:
            HTTPException: there is no such run, or no such trial in it.
        """
        desk.find_run(name)
        await desk.runs.find_view(name).read()
        outcome = await desk.runs.query_run(name, lambda view: view.outcome)
        trials = [t.id for t in outcome.trials] if outcome else []
        if trial not in trials:
            nearest = name_nearest(trial, trials)
            raise HTTPException(404, f"{name} has no trial {trial!r}.{nearest}")
        return cls(desk, name, trial)

    async def _show(self) -> None:
        run = self.run
        run.outcome, directory = await run.query(lambda view: (view.outcome, view.directory))
        outcome = run.outcome
        shown = next((t for t in outcome.trials if t.id == self.trial), None) if outcome else None
        if outcome is None or shown is None:
            return
        parts, settings, texts = await run.query(
            lambda view: (
                build_trial_parts(shown, directory),
                dump_trial_settings(directory, shown.config),
                read_log_texts(directory, shown.id),
            ),
        )
        self.about.set_content(escape(shown.full_status_text))
        self.parts.set_content("".join(parts))
        if settings != self.settings:
            self.settings = settings
            self.offers.clear()
            with self.offers:
                offer_settings(self.trial, settings)
        if self.curves is None:
            with self.plots:
                self.curves = CurvesTab(run, only=self.trial)
        await self.curves.show()
        videos = [row for row in outcome.videos if row.trial == self.trial and row.path]
        if (drawn := repr((texts, videos, shown.checkpoint))) == self.drawn:
            return
        self.drawn = drawn
        self.files.clear()
        with self.files:
            for row in videos:
                ui.video(f"/run/{quote(run.name)}/video/{quote(row.path)}").style(
                    "max-width: 640px"
                )
                paragraph(describe_video(row), "missing")
            if shown.checkpoint:
                offer_command(
                    "Copy the command that serves it", "serve", directory / shown.checkpoint
                )
            for name, text in texts.items():
                with ui.expansion(name).props("dense"):
                    ui.html(f"<pre>{escape(text)}</pre>", sanitize=False)


def build_trial_parts(trial: TrialOutcome, directory: Path) -> list[str]:
    """Build the settings, findings and checkpoints of a trial as HTML."""
    checkpoints = [
        [f"{row.iteration}", escape(row.path), "yes" if row.path == trial.checkpoint else ""]
        for row in trial.checkpoints
        if (directory / row.path).is_dir()
    ]
    parts = [section("Settings", *_build_trial_settings(trial, read_run_job(directory)))]
    parts.append(section("Findings", report.render_findings(trial.findings)))
    if checkpoints:
        head = ["iteration", "path", "its result"]
        parts.append(section("Checkpoints", table(head, checkpoints, text=3)))
    return parts


def _build_trial_settings(trial: TrialOutcome, job: Job | None) -> list[str]:
    """Build the settings next to their defaults: those that differ or were searched first."""
    try:
        settings = list_trial_settings(job, trial.config) if job else None
    except UNUSABLE:
        settings = None
    if settings is None:  # the log has what differs from the defaults
        changes = trial.job.changes.items()
        values = trial.config | {f"not default: {part}": format_values(v) for part, v in changes}
        rows = [[escape(format_identifier(n)), escape(format_number(v))] for n, v in values.items()]
        return [table(["setting", "value"], rows, text=2, sentence=True)]
    first = [s for s in settings if s.differs or s.is_searched]
    rest = [s for s in settings if not (s.differs or s.is_searched)]
    summary = f"{count(len(rest), 'other setting')} with the default value"
    return [
        _render_settings(first) if first else render_note("All settings have their defaults."),
        f"<details><summary>{escape(summary)}</summary>{_render_settings(rest)}</details>",
    ]


def _render_settings(settings: Sequence[TrialSetting]) -> str:
    rows = [
        [
            escape(format_identifier(setting.name)),
            escape(format_number(setting.value)),
            escape(format_number(setting.default)),
            "yes" if setting.is_searched else "",
        ]
        for setting in settings
    ]
    return table(["setting", "value", "default", "searched"], rows, text=4)
