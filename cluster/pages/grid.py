"""Tables of the page: sorted, filtered and searched in the browser, changed row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import events, ui

CHIP = """p => { const s = document.createElement('span'); s.textContent = p.value;
s.className = 'chip ' + String(p.value).split(' ')[0]; return s; }"""
SPARK = """p => { const v = (p.value || []).filter(Number.isFinite);
const ns = 'http://www.w3.org/2000/svg', s = document.createElementNS(ns, 'svg');
s.setAttribute('viewBox', '0 0 72 20'); s.setAttribute('width', 72); s.setAttribute('height', 20);
s.setAttribute('aria-hidden', 'true'); if (v.length < 2) return s;
const lo = Math.min(...v), hi = Math.max(...v), l = document.createElementNS(ns, 'polyline');
l.setAttribute('points', v.map((y, i) => (1 + 70 * i / (v.length - 1)).toFixed(1) + ',' +
(18 - 16 * (y - lo) / (hi - lo || 1)).toFixed(1)).join(' '));
l.setAttribute('fill', 'none'); l.setAttribute('stroke', '#1f6fb4'); s.append(l); return s; }"""
NUMBER = """p => { const v = p.value; if (v === null || v === undefined) return '-';
if (typeof v !== 'number') return String(v); if (Number.isInteger(v)) return v.toLocaleString('en');
const a = Math.abs(v); return a >= 1e6 || (a < 1e-3 && a > 0) ? v.toExponential(2) :
a >= 1000 ? Math.round(v).toLocaleString('en') : v.toPrecision(4); }"""
NUMERIC = {":valueFormatter": NUMBER, "type": "numericColumn"}
MOST_HIGH = 680
"""Height of a table in pixels above which it scrolls."""


def define_column(field: str, heading: str, **more: object) -> dict[str, Any]:
    """Define a column for AG Grid."""
    return {"field": field, "headerName": heading} | more


class Grid:
    """A table that keeps its order, filters and selection while rows change.

    Args:
        key: the field that identifies a row.
        columns: AG Grid's column definitions, with ``field`` and ``headerName``.
        on_select: called with the keys of the selected rows, where rows can be selected.
        on_open: called with the key of a row that is opened by Enter or a double click.
        name: of the table, for screen readers and the file of its CSV.
    """

    def __init__(
        self,
        key: str,
        columns: Sequence[dict[str, Any]],
        name: str,
        on_select: Callable[[list[str]], Any] | None = None,
        on_open: Callable[[str], Any] | None = None,
    ) -> None:
        self.key, self.name, self._rows = key, name, dict[str, dict[str, Any]]()
        self._on_select = on_select
        with ui.element("div").classes("row"):
            search = ui.input(placeholder="Search").props(
                f'dense clearable type=search aria-label="Search {name}"'
            )
            with ui.button("Columns").props("flat dense no-caps"), ui.menu():
                for column in columns:
                    self._add_switch(column)
            ui.button("CSV", on_click=self.export).props("flat dense no-caps").tooltip(
                "Save the rows that are shown"
            )
        options: dict[str, Any] = {
            "columnDefs": list(columns),
            "defaultColDef": {"sortable": True, "resizable": True, "filter": True, "minWidth": 70},
            "rowData": [],
            ":getRowId": f"p => p.data[{key!r}]",
            "suppressFieldDotNotation": True,
            "rowHeight": 30,
            "headerHeight": 36,
            "animateRows": False,
            "enableCellTextSelection": True,
            "tooltipShowDelay": 300,
            "overlayNoRowsTemplate": "Nothing yet",
            "autoSizeStrategy": {"type": "fitCellContents"},
        }
        if on_select:
            options["rowSelection"] = {"mode": "multiRow", "enableClickSelection": True}
        self.grid = ui.aggrid(options, auto_size_columns=False)
        self.grid.props(f'aria-label="{name}"').style("height: 160px")
        if on_select:
            self.grid.on("selectionChanged", self._select, ["source"])
        if on_open:
            self.grid.on("cellDoubleClicked", lambda e: on_open(e.args["rowId"]), ["rowId"])
        search.on_value_change(
            lambda e: self.grid.run_grid_method("setGridOption", "quickFilterText", e.value or "")
        )

    def _add_switch(self, column: dict[str, Any]) -> None:
        def show(event: events.ValueChangeEventArguments) -> None:
            self.grid.run_grid_method("setColumnsVisible", [column["field"]], event.value)

        shown = not column.get("hide", False)
        ui.checkbox(column["headerName"], value=shown, on_change=show).props("dense")

    def show_rows(self, rows: Sequence[dict[str, Any]]) -> None:
        """Show these rows: only those that differ from what is shown are sent."""
        new = {row[self.key]: row for row in rows}
        if not self._rows or len(new) > 2 * len(self._rows):
            self.grid.options["rowData"] = list(rows)
            self.grid.update()
            lines = min(len(rows), 20)
            self.grid.style(f"height: {min(MOST_HIGH, 76 + 30 * lines)}px")
        else:
            changes = {
                "add": [row for name, row in new.items() if name not in self._rows],
                "update": [r for n, r in new.items() if n in self._rows and r != self._rows[n]],
                "remove": [row for name, row in self._rows.items() if name not in new],
            }
            if any(changes.values()):
                self.grid.run_grid_method("applyTransaction", changes)
        self._rows = new

    @property
    def is_deleted(self) -> bool:
        """Whether its page was closed."""
        return self.grid.is_deleted

    async def _select(self, event: events.GenericEventArguments) -> None:
        # A selection by `select` below is not one by a reader.
        if self._on_select and not event.args.get("source", "").startswith("api"):
            rows = await self.grid.get_selected_rows()
            await self._on_select([row[self.key] for row in rows])

    def select(self, keys: Sequence[str]) -> None:
        """Select the rows with these keys and no others."""
        self.grid.run_grid_method("deselectAll")
        for key in keys:
            if key in self._rows:
                self.grid.run_row_method(key, "setSelected", True)

    def export(self) -> None:
        """Save the rows that are shown, as a file of the browser."""
        self.grid.run_grid_method("exportDataAsCsv", {"fileName": f"{self.name}.csv"})
