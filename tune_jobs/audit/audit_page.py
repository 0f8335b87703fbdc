"""The audit as an offline page: every run that would have been ended, with its curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import yaml

from rungwise.formatting import count, format_duration, format_measurement, format_percent
from tune_jobs.audit.audit import WORDS, Audit, EndedRun
from tune_jobs.audit.replayed_run import ReplayedRun, ReplayedStop
from tune_jobs.report.html_parts import render_note, section, table
from tune_jobs.report.report import make_page, replace_file

WIDTH, HEIGHT, POINTS = 150, 34, 100
"""Size of a small curve in pixels, and how many means are drawn of a long run."""
HEAD = ("run", "group", "rule", "verdict", "ended at", "final score", "score, ended at |", "why")
STYLE = """<style>
.spark polyline { fill: none; stroke: #1f6fb4; stroke-width: 1.3; }
.spark line { stroke: #c0392b; stroke-width: 1.5; } .spark .after { opacity: .45; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid #1f6fb4; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
#ended td:nth-child(-n+2) { white-space: normal; overflow-wrap: anywhere; min-width: 8rem; }
#ended td.sentence { min-width: 12rem; } #ended th, #ended td { padding-right: .7rem; }
.filters label { margin-right: 1.2rem; color: var(--soft); }
</style>"""
SCRIPT = """
const table = document.querySelector("#ended table");
if (table) {
  const rows = [...table.tBodies[0].rows], heads = [...table.tHead.rows[0].cells];
  const read = (row, i) => row.cells[i].textContent.trim();
  const number = (text) => Number.parseFloat(text.replaceAll(",", ""));
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => {
        const [x, y] = [read(a, i), read(b, i)], difference = number(x) - number(y);
        return (Number.isNaN(difference) ? x.localeCompare(y) : difference) * (down ? -1 : 1);
      });
      table.tBodies[0].append(...rows);
    });
  });
  const selects = [...document.querySelectorAll(".filters select")];
  const filter = () => rows.forEach((row) => {
    row.hidden = selects.some((s) => s.value && read(row, Number(s.dataset.column)) !== s.value);
  });
  selects.forEach((select) => select.addEventListener("change", filter));
}
"""
"""Sorts by a column, and shows the runs of one group, rule or verdict."""


def write_audit_page(audit: Audit, path: Path) -> None:
    """Write the page, replacing an older one in one step.

    Raises:
        OSError: it cannot be written.
    """
    replace_file(path, make_page("Audit", STYLE + _render_body(audit), SCRIPT))


def _render_body(audit: Audit) -> str:
    verdicts, (saved_hours, hours) = audit.count_verdicts(), audit.hours
    note = f"of {format_duration(3600 * hours)} in logs with times" if hours else ""
    cards = [
        ("Would have been ended", f"{len(audit.ended):,}", f"of {count(len(audit.judged), 'run')}"),
        ("Wrongly", f"{verdicts['wrong']:,}", WORDS["wrong"]),
        ("Saved", format_percent(audit.saved_share), "of all steps"),
        *([("Hours saved", format_duration(3600 * saved_hours), note)] if hours else []),
    ]
    drawn = "".join(
        f"<div><span>{a}</span><strong>{b}</strong><small>{escape(c)}</small></div>"
        for a, b, c in cards
    )
    parts = [
        f'<header><h1>Audit of {count(len(audit.runs), "log")}</h1><div class="cards">{drawn}'
        "</div></header>",
        section("What would have been ended", *_render_ended(audit.ended)),
        section("By rule", _render_rules(audit)),
        section("By group", _render_groups(audit)),
    ]
    if audit.sweeps:
        parts.append(section("Under a scheduler", *_render_sweeps(audit)))
    if audit.wrong_rules:
        policy = yaml.safe_dump({"health": dict.fromkeys(audit.wrong_rules, "warn")})
        why = render_note("In a job file: rules that were wrong on these runs only warn.")
        parts.append(section("Settings", why, f"<pre>{escape(policy)}</pre>"))
    if audit.unread:
        rows = [[escape(run.name), escape(run.note)] for run in audit.unread]
        parts.append(section("Not judged", table(["log", "why"], rows, 2, sentence=True)))
    if audit.left_out:
        rows = [[escape(str(f.file)), escape(f.why)] for f in audit.left_out]
        parts.append(section("Left out", table(["file", "why"], rows, 2, sentence=True)))
    return "".join(parts)


def _render_ended(ended: Sequence[EndedRun]) -> list[str]:
    if not ended:
        return [render_note("Nothing: no rule would have ended any of these runs.")]
    words = [f"{verdict}: {text}" for verdict, text in WORDS.items()]
    lines = [(e, e.run.stop) for e in ended if e.run.stop is not None]
    rows = [_list_cells(e, stop) for e, stop in lines]
    filters = "".join(
        _render_filter(name, HEAD.index(name), sorted({row[HEAD.index(name)] for row in rows}))
        for name in ("group", "rule", "verdict")
    )
    return [
        render_note("; ".join(words) + "."),
        f'<p class="filters">{filters}</p>',
        f'<div id="ended">{table(HEAD, rows, 4, sentence=True)}</div>',
    ]


def _list_cells(ended: EndedRun, stop: ReplayedStop) -> list[str]:
    run, score = ended.run, format_measurement(ended.run.final_score)
    cut = " (the log is cut)" if run.is_cut else ""
    texts = [run.name + cut, ended.group, stop.symptom, ended.verdict]
    curve = draw_curve(run, stop)
    return [*map(escape, texts), format_percent(stop.share), score, curve, escape(stop.evidence)]


def _render_filter(name: str, column: int, values: Sequence[str]) -> str:
    options = "".join(f"<option>{value}</option>" for value in values)
    return (
        f'<label>{name} <select data-column="{column}"><option value="">all</option>{options}'
        "</select></label>"
    )


def _render_rules(audit: Audit) -> str:
    counts = [(rule, audit.count_verdicts(rule)) for rule in audit.rules]
    rows = [
        [escape(rule), f"{verdicts.total():,}", *(f"{verdicts[verdict]:,}" for verdict in WORDS)]
        for rule, verdicts in counts
    ]
    return table(["rule", "ended", *WORDS], rows, 1)


def _render_groups(audit: Audit) -> str:
    rows: list[list[str]] = []
    for group in audit.groups:
        ended = [e for e in audit.ended if e.group == group.name]
        wrong = sum(e.verdict == "wrong" for e in ended)
        ends = [run.final_score for run in group.runs if run.final_score is not None]
        scores = [format_measurement(f(ends)) if ends else "-" for f in (min, np.median, max)]
        sizes = [f"{n:,}" for n in (len(group.runs), len(ended), wrong)]
        rows.append([escape(group.name), *sizes, *scores])
    head = ["group", "runs", "ended", "wrong", "lowest end", "median end", "highest end"]
    return table(head, rows, 1)


def _render_sweeps(audit: Audit) -> list[str]:
    head = ["group", "runs", "saved", "regret", "chosen"]
    rows = [
        [
            escape(sweep.group),
            f"{sweep.runs:,}",
            format_percent(sweep.saved),
            format_percent(sweep.regret),
            escape(sweep.chosen),
        ]
        for sweep in audit.sweeps
    ]
    note = "Regret: how much worse the chosen run ends than the best, as a share of the range."
    return [render_note(note), table(head, rows, 1)]


def draw_curve(run: ReplayedRun, stop: ReplayedStop) -> str:
    """Return the scores of a run as a small drawing with a line where it would have been ended."""
    scored = [(x, s) for x, s in zip(run.shares, run.scores, strict=True) if s is not None]
    stop_x = 1 + stop.share * (WIDTH - 2)
    title = f"ended at {format_percent(stop.share)} of the run"
    line = f'<line x1="{stop_x:.1f}" x2="{stop_x:.1f}" y1="0" y2="{HEIGHT}"/>'
    opening = (
        f'<svg class="spark" role="img" aria-label="{title}" width="{WIDTH}" height="{HEIGHT}">'
    )
    if len(scored) < 2:
        return f"{opening}{line}</svg>"
    bins = np.array_split(np.array(scored), min(POINTS, len(scored)))
    x, y = np.array([part.mean(0) for part in bins]).T
    extent = float(np.ptp(y)) or 1.0
    if not math.isfinite(extent):
        return f"{opening}{line}</svg>"
    across = 1 + x * (WIDTH - 2)
    down = HEIGHT - 2 - (y - y.min()) / extent * (HEIGHT - 4)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
    return f'{opening}<polyline points="{points}"/>{line}</svg>'
