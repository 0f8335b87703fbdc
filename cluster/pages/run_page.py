"""The page of one run: its headline, its tabs, and what can be done with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from html import escape
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlencode

from nicegui import ui
from starlette.exceptions import HTTPException

from cluster.pages.curves_tab import CurvesTab
from cluster.pages.events_tab import EventsTab
from cluster.pages.findings_tab import FindingsTab
from cluster.pages.frame import Desk, Follower, begin_page, heading, offer_command, paragraph
from cluster.pages.ledger_tab import build_ledger
from cluster.pages.logs_tab import LogsTab
from cluster.pages.parts_tab import PartsTab
from cluster.pages.result_tab import ResultTab
from cluster.pages.run_context import RunContext
from cluster.pages.settings_tab import build_settings
from cluster.pages.trials_tab import TrialsTab
from cluster.queue.orders import get_run_state
from cluster.web.auth_users import may_act
from cluster.web.run_view import RunView
from cluster.web.schemas import Extension
from rungwise.run_log.outcome import Outcome
from rungwise.validation import InputError
from tune_jobs.report.shared_sections import Card, describe_job, list_cards


class Tab(Protocol):
    """A tab of the page."""

    async def show(self) -> None:
        """Show what is new; called when the tab is opened, and with every new row."""
        ...


TABS: dict[str, Callable[[RunContext], Tab]] = {
    "Trials": TrialsTab,
    "Curves": CurvesTab,
    "Settings": lambda run: PartsTab(run, build_settings),
    "Findings": FindingsTab,
    "Result": ResultTab,
    "Ledger": lambda run: PartsTab(run, build_ledger),
    "Events": EventsTab,
    "Logs": LogsTab,
}
"""The tabs in their order; each is built when it is first opened."""


def _read_head(view: RunView) -> tuple[Outcome | None, Path, str]:
    """Return the outcome of a run, its directory, and its cards or why there is no outcome."""
    outcome = view.outcome
    if outcome is None:
        refusal = f"Its log cannot be read: {view.refusal}"
        return None, view.directory, refusal if view.refusal else "Its log is empty so far."
    cards = view.build_once("cards", lambda: render_cards(list_cards(outcome)))
    return outcome, view.directory, cards


class RunPage:
    """The page of a run."""

    def __init__(self, desk: Desk, name: str, tab: str, selected: list[str]) -> None:
        self.run = RunContext(desk, name, selected=selected, on_select=self._select)
        self.tab, self.may_act = tab, may_act()
        self.built: dict[str, Tab] = {}
        begin_page(name, ("All runs", "/"))
        heading(name)
        self.about = paragraph("Reading its log", "missing").props("role=status")
        self.notice = paragraph("", "notice").props("role=status")
        self.notice.set_visibility(False)
        self.cards = ui.html("", sanitize=False).classes("cards")
        with ui.element("div").classes("row").props('role=group aria-label="Actions"'):
            self.actions = ui.element("div").classes("row")
            self.links = ui.element("div").classes("row")
            self.extension = ui.element("div").classes("row")
        self.buttons: dict[str, ui.button] = {}
        self.shown_links = ""
        self.shown_size: dict[str, int] = {}
        with ui.tabs(on_change=self._open_tab).props("no-caps dense align=left") as tabs:
            for title in TABS:
                ui.tab(title)
        self.panels = {}
        with ui.tab_panels(tabs, value=tab, animated=False).classes("w-full"):
            for title in TABS:
                with ui.tab_panel(title) as self.panels[title]:
                    pass
        self.follower = Follower(desk, name, self._show, self._show_progress)

    @classmethod
    async def open(cls, desk: Desk, name: str, query: dict[str, str]) -> RunPage:
        """Build the page that an address names.

        Raises:
            HTTPException: there is no such run.
        """
        desk.find_run(name)
        tab = query.get("tab", "Trials")
        selected = [trial for trial in query.get("trials", "").split(",") if trial]
        return cls(desk, name, tab if tab in TABS else "Trials", selected)

    def _show_progress(self, fraction: float) -> None:
        self.about.set_content(f"{100 * fraction:.0f} % of its log read")

    async def _show(self) -> None:
        run = self.run
        outcome, directory, text = await run.query(_read_head)
        run.outcome = outcome
        if outcome is None:
            self.about.set_content(text)
            return
        self.about.set_content(describe_run(outcome, directory))
        self.cards.set_content(text)
        self._show_actions()
        await self._show_tab()

    async def _show_tab(self) -> None:
        if self.run.outcome is None:
            return
        if self.tab not in self.built:
            with self.panels[self.tab]:
                self.built[self.tab] = TABS[self.tab](self.run)
        await self.built[self.tab].show()

    async def _open_tab(self, event: object) -> None:
        self.tab = str(getattr(event, "value", self.tab))
        self._write_address()
        await self._show_tab()

    async def _select(self, trials: list[str]) -> None:
        self._write_address()
        self._show_actions()
        await self._show_tab()

    def _write_address(self) -> None:
        """Keep what is looked at in the address, so that it can be sent and bookmarked."""
        parts = {"tab": self.tab, "trials": ",".join(self.run.selected)}
        query = urlencode({name: value for name, value in parts.items() if value})
        # Without its path, which a proxy may have put below a prefix.
        ui.navigate.history.replace(f"?{query}")

    def _show_actions(self) -> None:
        """Show what can be done now with the run and the selected trials."""
        outcome = self.run.outcome
        if outcome is None:
            return
        can_start, selected = self.run.desk.can_start, self.run.selected
        actions = list_actions(outcome, selected, can_start) if self.may_act else []
        directory = self.run.desk.find_run(self.run.name)
        has_report = (directory / "report.html").is_file()
        # A button stays as long as what it does is possible: a press on one that has just been
        # replaced would be lost.
        for label in self.buttons.keys() - {label for label, _ in actions}:
            self.buttons.pop(label).delete()
        for index, (label, trial) in enumerate(actions):
            if label not in self.buttons:
                with self.actions:
                    button = ui.button(label, on_click=self._make_action(label, trial))
                button.props("outline dense no-caps").move(target_index=index)
                self.buttons[label] = button
        self._offer_extension(outcome)
        can_continue = outcome.end is not None and bool(outcome.iterations_open)
        links = repr((self.run.selected, has_report, can_continue))
        if links == self.shown_links:
            return
        self.shown_links = links
        self.links.clear()
        with self.links:
            for trial in self.run.selected:
                address = f"/run/{quote(self.run.name)}/trial/{quote(trial)}"
                ui.link(f"Page of trial {trial}", address)
            if has_report:
                ui.link("Report", f"/run/{quote(self.run.name)}/report", new_tab=True)
            if can_continue:
                offer_command("Copy the command that resumes it", "resume", directory)

    def _offer_extension(self, outcome: Outcome) -> None:
        """Offer to resume the run with more trials or iterations, if it has ended."""
        names = ("trials",) if outcome.job.is_program else ("trials", "iterations")
        can_extend = outcome.end is not None and self.run.desk.can_start and self.may_act
        now = {name: int(getattr(outcome.job, name)) for name in names} if can_extend else {}
        if now == self.shown_size:  # what is being written stays
            return
        self.shown_size = now
        self.extension.clear()
        if not now:
            return

        async def extend() -> None:
            given = {name: int(field.value or 0) for name, field in inputs.items()}
            changed = {name: number for name, number in given.items() if number != now[name]}
            if not changed:
                self._say("Extend: give more trials or iterations than the run has.")
                return
            await self._request(
                self.run.desk.api.resume_job(self.run.name, Extension(**changed)),
                "Extend: requested. The queue starts it when it is next.",
            )

        with self.extension:
            inputs = {
                name: ui.number(name.title(), value=number, min=1, precision=0)
                .props("dense outlined")
                .style("width: 8rem")
                for name, number in now.items()
            }
            ui.button("Extend", on_click=extend).props("outline dense no-caps")

    def _make_action(self, label: str, trial: str) -> Callable[[], Awaitable[None]]:
        api, name = self.run.desk.api, self.run.name
        is_stop = label.startswith("Stop")

        async def act() -> None:
            if trial:
                request = (api.stop_trial if is_stop else api.resume_trial)(name, trial)
            else:
                request = api.stop_job(name) if is_stop else api.resume_job(name)
            await self._request(
                request,
                f"{label}: requested. It takes effect after the next result, or at once if the "
                "trial waits.",
            )

        return act

    async def _request(self, request: Awaitable[object], done: str) -> None:
        """Make a request of the API, and say that it is done or why it is refused."""
        try:
            await request
        except (HTTPException, InputError) as error:
            self._say(str(getattr(error, "detail", error)))
        else:
            self._say(done)

    def _say(self, sentence: str) -> None:
        self.notice.set_content(escape(sentence))
        self.notice.set_visibility(True)


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
