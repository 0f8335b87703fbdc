"""The parts of a report page: its style, sections, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

import plotly.graph_objects as go

STYLE = """
:root { color-scheme: light dark; --ink: #1d2226; --soft: #5d666d; --line: #dfe3e6;
  --paper: #fff; --panel: #f5f7f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7e9; --soft: #a3acb3; --line: #363d43;
  --paper: #15191c; --panel: #1f2529; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 1200px; color: var(--ink);
  background: var(--paper); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: .9rem; font-weight: 600; margin: .8rem 0 0; color: var(--soft); }
p { margin: .4rem 0; } header > p, .missing { color: var(--soft); }
.notice { border-left: 3px solid #d9822b; padding-left: .7rem; color: var(--ink); }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin-top: 1rem; }
.cards div { flex: 1 1 260px; background: var(--panel); border-radius: 6px; padding: .8rem 1rem; }
.cards span, .cards small { display: block; color: var(--soft); }
.cards strong { font-size: 1.7rem; font-weight: 600; line-height: 1.25; white-space: nowrap; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin-top: .4rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .28rem 1.1rem .28rem 0; white-space: nowrap;
  border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--soft); white-space: normal; vertical-align: bottom; }
th.text, td.text { text-align: left; }
td.sentence { white-space: normal; min-width: 17rem; padding-right: 0; }
figure { margin: 0; break-inside: avoid; min-width: 0; }
.wide { overflow-x: auto; } .wide > div { min-width: 680px; }
.grid { display: grid; gap: 0 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); }
.pair { display: grid; gap: 0 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
.legend span { margin-right: 1.2rem; white-space: nowrap; }
.legend i { display: inline-block; width: 1.4em; height: 3px; margin-right: .4em;
  vertical-align: middle; print-color-adjust: exact; }
.steps { display: grid; gap: .9rem 1.4rem; margin: .8rem 0 1rem; }
.steps figcaption { font-size: .85rem; font-weight: 600; overflow-wrap: anywhere; }
.steps svg { display: block; max-width: 100%; height: auto; margin-top: .3rem; }
.steps text { font: 11px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif;
  fill: var(--ink); stroke: var(--paper); stroke-width: 3px; paint-order: stroke; }
.steps text.figure { fill: var(--soft); font-size: 10px; }
.steps .edge { fill: none; stroke: var(--soft); } .steps .cut { stroke-dasharray: 2 4; }
.steps .ground { fill: var(--paper); } .steps .shade { fill: #1f6fb4; stroke: var(--ink); }
.steps .chosen .shade { stroke: #d9822b; stroke-width: 3; }
.steps .chosen text { font-weight: 700; } .steps .ring { fill: none; stroke: var(--ink); }
video { display: block; width: 100%; max-width: 640px; border-radius: 6px; }
figcaption { color: var(--soft); margin-top: .3rem; overflow-wrap: anywhere; }
.findings { padding-left: 1.4rem; } .findings li { margin: .35rem 0; }
.stop { color: #c0392b; } .warn { color: #b8690f; } .note, .withdrawn { color: var(--soft); }
@media (prefers-color-scheme: dark) { .stop { color: #f0796c; } .warn { color: #e8a34d; } }
td code { overflow-wrap: anywhere; }
pre { background: var(--panel); padding: .8rem 1rem; border-radius: 6px; overflow-x: auto; }
summary { cursor: pointer; margin-top: 1rem; }
.js-plotly-plot .xtick text, .js-plotly-plot .ytick text, .js-plotly-plot .infolayer text {
  fill: var(--soft) !important; }
.js-plotly-plot .annotation rect.bg { fill: var(--paper) !important; fill-opacity: .8 !important; }
@media (max-width: 600px) {
  th, td { padding-right: .7rem; } td.sentence { white-space: nowrap; }
  table:not(:has(thead)) td { white-space: normal; min-width: 0; overflow-wrap: anywhere; } }
@media print {
  :root { --ink: #000; --soft: #444; --line: #ccc; --paper: #fff; --panel: #f5f7f8; }
  body { padding: 0; font-size: 12px; } h2 { break-after: avoid; }
  td.sentence { min-width: 12rem; } th, td { padding-right: .6rem; }
  .cards strong { font-size: 1.4rem; } .wide > div { min-width: 0; }
  details::details-content { content-visibility: visible; display: block; }
}
"""

FITTING = """
const fit = () =>
  document.querySelectorAll(".js-plotly-plot").forEach((plot) => Plotly.Plots.resize(plot));
addEventListener("load", fit);
matchMedia("print").addEventListener("change", fit);
"""
"""Resize plots after loading and before printing: Plotly fixes their width in pixels when it draws
them, before their row is complete, and paper is narrower than the screen."""


@dataclass(frozen=True)
class Drawing:
    """A Plotly figure of a page."""

    name: str
    """The id of its element, unique on the page."""
    caption: str
    """A plain heading; empty for none."""
    plot: go.Figure
    wide: bool = False
    """Whether a narrow screen scrolls it sideways instead of narrowing it."""


Part: TypeAlias = "str | Drawing | list[str | Drawing]"
"""A part of a page: HTML, a figure, or a grid of small figures."""


def draw(name: str, caption: str, plot: go.Figure | str, wide: bool = False) -> str | Drawing:
    """Return a figure, or the note that explains why there is none."""
    return render_note(plot) if isinstance(plot, str) else Drawing(name, caption, plot, wide)


def section(title: str, *parts: Part) -> str:
    """Render a section with a heading."""
    return f"<section><h2>{escape(title)}</h2>\n{''.join(map(render, parts))}</section>\n"


def render(part: Part) -> str:
    """Render a part as HTML; Plotly's script must already be on the page."""
    if isinstance(part, str):
        return part
    if isinstance(part, list):
        return f'<div class="grid">{"".join(map(render, part))}</div>'
    html = part.plot.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"plot-{part.name}",
        config={"displayModeBar": False, "responsive": True},
    )
    kind = "wide" if part.wide else "fitted"
    heading = f"<h3>{escape(part.caption)}</h3>" if part.caption else ""
    return f'<figure class="{kind}">{heading}{html}</figure>'


def render_note(sentence: str) -> str:
    """Render a line in grey: why something is missing, or how a figure is computed."""
    return f'<p class="missing">{escape(sentence)}</p>'


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], text: int, sentence: bool = False
) -> str:
    """Render a table of HTML cells; numbers are aligned to the right.

    Args:
        head: plain headings; empty for a table without a head.
        rows: the cells, already escaped.
        text: number of leading columns with text.
        sentence: whether the last column is a sentence, which may wrap.
    """

    def kind(index: int, width: int) -> str:
        if sentence and index == width - 1:
            return ' class="text sentence"'
        return ' class="text"' if index < text else ""

    def line(tag: str, cells: Sequence[str]) -> str:
        inner = (f"<{tag}{kind(i, len(cells))}>{c}</{tag}>" for i, c in enumerate(cells))
        return f"<tr>{''.join(inner)}</tr>"

    top = f"<thead>{line('th', [escape(name) for name in head])}</thead>" if head else ""
    body = "\n".join(line("td", row) for row in rows)
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'
