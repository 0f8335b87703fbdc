"""The tab with the curves: the score of all trials, and panels of the other metrics."""

from __future__ import annotations

import dataclasses
import json
import time
from functools import partial
from typing import Any

from nicegui import events, ui

from cluster.pages.curves import (
    AXES,
    SAME_SETTINGS,
    CurveChoice,
    describe_metric,
    list_panels,
    plot_curves,
)
from cluster.pages.frame import PLOT_CONFIG, draw_plot, heading, paragraph, show_plot
from cluster.pages.run_context import RunContext
from cluster.web.run_view import RunView
from rungwise.formatting import format_identifier
from rungwise.run_log.outcome import Outcome

POINTS_PER_S = 10_000
"""Points that a page draws in a second, at most: a plot of 20,000 is drawn again after 2 s."""
LOG_AXES = {"automatic": None, "linear": False, "logarithmic": True}


class CurvesTab:
    """The score of all trials by iteration, steps or time, and panels of their other metrics."""

    def __init__(self, run: RunContext, only: str = "") -> None:
        self.run = run
        self.choice = CurveChoice(only=only)
        self._next_draw, self._is_waiting = 0.0, False
        assert run.outcome is not None  # noqa: S101
        job = run.outcome.job
        with ui.element("div").classes("row"):
            ui.select(AXES, value="iteration", label="Over", on_change=self._set("axis"))
            if not only:
                groups = {"": "each trial", SAME_SETTINGS: "mean and band of the same settings"}
                groups |= {n: f"mean and band by {format_identifier(n)}" for n in job.searched}
                ui.select(groups, value="", label="Curves", on_change=self._set("group"))
            ui.select(
                list(LOG_AXES),
                value="automatic",
                label="Axis",
                on_change=lambda e: self._change(log=LOG_AXES[e.value]),
            )
            ui.label("Smoothing")
            ui.slider(min=0, max=0.95, step=0.05, value=0, on_change=self._set("smoothing")).props(
                'aria-label="Smoothing" label'
            ).style("width: 140px")
        self.score = show_plot({"data": [], "layout": {"height": 380}})
        self.score.on("plotly_click", self._click, ["points"])
        paragraph(
            "Dotted lines are rungs; a mark is the end of a trial, and its label is the reason."
            + ("" if only else " A click selects a trial everywhere."),
            "missing",
        )
        self.panels, self.timers = ui.element("div"), ui.element("div")
        self.names: list[str] = []
        self.open: dict[str, list[tuple[str, ui.plotly]]] = {}

    def _set(self, name: str) -> Any:
        return lambda event: self._change(**{name: event.value})

    async def _change(self, **changes: object) -> None:
        self.choice = dataclasses.replace(self.choice, **changes)
        self._next_draw = 0.0
        await self.show()

    async def _click(self, event: events.GenericEventArguments) -> None:
        points = event.args.get("points") or []
        trial = str(points[0].get("customdata", "")) if points else ""
        run = self.run
        if run.outcome is None or trial not in {t.id for t in run.outcome.trials}:
            return
        others = [t for t in run.selected if t != trial]
        await run.select(others if trial in run.selected else [*run.selected, trial])

    async def show(self) -> None:
        """Draw the curves that are open."""
        run = self.run
        outcome = run.outcome
        if outcome is None or self._must_wait():
            return
        choice = dataclasses.replace(self.choice, selected=tuple(run.selected))
        drawn = [("", self.score), *(pair for pairs in self.open.values() for pair in pairs)]

        def draw(view: RunView) -> tuple[list[str], list[tuple[int, str]]]:
            choices = [dataclasses.replace(choice, metric=metric) for metric, _ in drawn]
            return view.list_metrics(), [
                view.build_once(c, partial(_encode_curves, view, outcome, c)) for c in choices
            ]

        names, figures = await run.query(draw)
        self._next_draw = time.monotonic() + sum(size for size, _ in figures) / POINTS_PER_S
        for (_, plot), (_, figure) in zip(drawn, figures, strict=True):
            draw_plot(plot, figure)
        if names != self.names:
            self.names = names
            self._list_panels()

    def _must_wait(self) -> bool:
        """Whether the last drawing was so large that the next one comes later, by a timer."""
        wait = self._next_draw - time.monotonic()
        if wait > 0 and not self._is_waiting:
            self._is_waiting = True
            with self.timers:
                ui.timer(wait, self._draw_late, once=True)
        return wait > 0

    async def _draw_late(self) -> None:
        self._is_waiting = False
        await self.show()

    def _list_panels(self) -> None:
        self.panels.clear()
        self.open = {}
        with self.panels:
            for group, metrics in list_panels(self.names).items():
                title = f"{group} ({len(metrics)})"
                with ui.expansion(title).props("dense header-class=text-weight-medium") as panel:
                    grid = ui.element("div").classes("plots")
                panel.on_value_change(self._make_opener(group, metrics, grid))

    def _make_opener(self, group: str, metrics: list[str], grid: ui.element) -> Any:
        async def toggle(event: events.ValueChangeEventArguments) -> None:
            grid.clear()
            self._next_draw = 0.0
            self.open.pop(group, None)
            if event.value:
                with grid:
                    self.open[group] = [(metric, self._add_panel(metric)) for metric in metrics]
                await self.show()

        return toggle

    def _add_panel(self, metric: str) -> ui.plotly:
        with ui.element("div"):
            heading(format_identifier(metric), 3)
            paragraph(describe_metric(metric), "missing")
            return show_plot({"data": [], "layout": {"height": 240}})


def _encode_curves(view: RunView, outcome: Outcome, choice: CurveChoice) -> tuple[int, str]:
    """Return the number of points of a plot, and the plot as JSON."""
    figure: dict[str, Any] = {**plot_curves(view, outcome, choice), "config": PLOT_CONFIG}
    return sum(len(trace["x"]) for trace in figure["data"]), json.dumps(figure, allow_nan=False)
