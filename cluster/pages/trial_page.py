"""The page of one trial: its settings, curves with findings, checkpoints, videos and log."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from nicegui import ui
from starlette.exceptions import HTTPException

from cluster.dashboard.run_parts import (
    build_trial_parts,
    dump_trial_settings,
    read_log_texts,
)
from cluster.pages.curves_tab import CurvesTab
from cluster.pages.frame import (
    Desk,
    Follower,
    begin_page,
    heading,
    name_nearest,
    offer_command,
    offer_settings,
    paragraph,
)
from cluster.pages.run_context import RunContext
from tune_jobs.report.run_sections import describe_video


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
        await desk.read(name)
        outcome = await desk.query(name, lambda view: view.outcome)
        known = [one.id for one in outcome.trials] if outcome else []
        if trial not in known:
            nearest = name_nearest(trial, known)
            raise HTTPException(404, f"{name} has no trial {trial!r}.{nearest}")
        return cls(desk, name, trial)

    async def _show(self) -> None:
        run = self.run
        outcome, directory = await run.desk.query(
            run.name, lambda view: (view.outcome, view.directory)
        )
        run.outcome = outcome
        found = next((t for t in outcome.trials if t.id == self.trial), None) if outcome else None
        if outcome is None or found is None:
            return
        parts, settings = await run.desk.query(
            run.name,
            lambda view: (
                build_trial_parts(found, view.directory),
                dump_trial_settings(view.directory, found.config),
            ),
        )
        self.about.set_content(escape(found.full_status_text))
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
        texts = await run.desk.query(
            run.name, lambda view: read_log_texts(view.directory, self.trial)
        )
        videos = [row for row in outcome.videos if row.trial == self.trial and row.path]
        if (drawn := repr((texts, videos, found.checkpoint))) == self.drawn:
            return
        self.drawn = drawn
        self.files.clear()
        with self.files:
            for row in videos:
                ui.video(f"/run/{quote(run.name)}/video/{quote(row.path)}").style(
                    "max-width: 640px"
                )
                paragraph(describe_video(row), "missing")
            if found.checkpoint:
                offer_command(
                    "Copy the command that serves it", "serve", directory / found.checkpoint
                )
            for name, text in texts.items():
                with ui.expansion(name).props("dense"):
                    ui.html(f"<pre>{escape(text)}</pre>", sanitize=False)
