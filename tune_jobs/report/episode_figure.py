"""One episode of a report, step by step: small pictures of its graph, and a table.

The pictures are plain SVG next to each other, so that they need no script and can be printed. Nodes
are in layers, each below its parents; an edge that passes a layer has a position there, so that it
runs around the nodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise, starmap
from statistics import fmean
from typing import Any

from envs.contract.episode_trace import EpisodeTrace, Frame
from rungwise.formatting import count
from tune_jobs.report.html_parts import render_note, table

RADIUS, LAYER, PASSING = 9.0, 52.0, 16.0
"""Radius of a node; distance between layers; width of an edge that passes a layer; in pixels."""
LETTER, LONGEST = 6.4, 12
"""Width of a letter of a node's label, in pixels, and the longest name shown in full."""
NODES_DRAWN = 120
"""Nodes in all pictures together: a larger graph is drawn at fewer steps."""
NARROWEST = 150.0
"""Smallest width of a picture's column, so that its caption fits on a line."""
BOX = 260.0
"""Width of a picture whose node positions are given."""


@dataclass(frozen=True)
class GraphLayout:
    """Positions of nodes and edges in the pictures of an episode."""

    width: float
    """Width of the picture."""
    height: float
    """Height of the picture."""
    nodes: list[tuple[float, float]]
    """Centre of each node."""
    edges: list[list[tuple[float, float]]]
    """Points of each edge, from node to node."""


def render_episode_section(given: Mapping[str, Any]) -> list[str]:
    """Render the section about an episode, from its plain data in the event log."""
    experiment = EpisodeTrace.from_dict(given)
    if experiment is None:
        return [render_note("No evaluation has recorded an episode step by step.")]
    seed = given.get("seed")
    which = f"The episode with the middle score{'' if seed is None else f', seed {seed}'}. "
    rows = [[escape(cell) for cell in frame.cells] for frame in experiment.frames]
    steps = table(experiment.columns, rows, text=0)
    return [render_note(which + experiment.about), *_pictures(experiment), steps]


def _pictures(experiment: EpisodeTrace) -> list[str]:
    if not experiment.nodes or not experiment.frames:
        return []
    layout = make_given_layout(experiment) if experiment.places else make_layered_layout(experiment)
    runs = group_repeated_steps([frame.caption for frame in experiment.frames])
    shown = choose_shown_runs(runs, max(2, NODES_DRAWN // len(experiment.nodes)))
    figures = ""
    for run in shown:
        frame = experiment.frames[run[-1]]
        steps = " to ".join(str(step) for step in sorted({run[0], run[-1]}))
        caption = escape(f"{steps}. {frame.caption}" if run[0] else frame.caption)
        drawing = draw_graph(experiment, layout, frame)
        figures += f"<figure><figcaption>{caption}</figcaption>{drawing}</figure>"
    rest = sum(map(len, runs)) - sum(map(len, shown))
    note = (
        render_note(f"{count(rest, 'step')} between these are in the table only.") if rest else ""
    )
    columns = f"repeat(auto-fill, minmax(min(100%, {max(layout.width, NARROWEST):.0f}px), 1fr))"
    return [f'<div class="steps" style="grid-template-columns: {columns}">{figures}</div>', note]


def group_repeated_steps(captions: Sequence[str]) -> list[range]:
    """Group steps 0, 1, ... into runs with the same caption; step 0 is a run of its own."""
    starts = [s for s, words in enumerate(captions) if s < 2 or words != captions[s - 1]]
    return list(starmap(range, pairwise([*starts, len(captions)])))


def choose_shown_runs(runs: Sequence[range], most: int) -> list[range]:
    """Choose at most ``most`` runs, evenly spread, including the first and the last."""
    if len(runs) <= most:
        return list(runs)
    return [runs[round(i * (len(runs) - 1) / (most - 1))] for i in range(most)]


def draw_graph(experiment: EpisodeTrace, layout: GraphLayout, frame: Frame) -> str:
    """Draw the graph after one step, as SVG."""
    lines = [
        f'<path class="edge{" cut" if index in frame.cut else ""}" '
        f'd="{_line(points, experiment.directed)}"/>'
        for index, points in enumerate(layout.edges)
    ]
    nodes = [_node(experiment, layout, frame, node) for node in range(len(experiment.nodes))]
    size = f'viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" width="{layout.width:.0f}"'
    said = escape(frame.caption, quote=True)
    return f'<svg role="img" aria-label="{said}" {size}>{"".join(lines + nodes)}</svg>'


def _node(experiment: EpisodeTrace, layout: GraphLayout, frame: Frame, node: int) -> str:
    (x, y), name = layout.nodes[node], experiment.nodes[node]
    shade = frame.shades[node] if node < len(frame.shades) else 0.0
    label = frame.labels[node] if node < len(frame.labels) else ""
    chosen, r = node in frame.chosen, RADIUS
    body = (
        f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}"'
        if chosen
        else f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}"'
    )
    ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="{r + 4}"/>'
    words = f'<text x="{x + r + 7:.1f}" y="{y - 1:.1f}">{escape(_short(name))}</text>'
    if label:
        words += f'<text class="figure" x="{x + r + 7:.1f}" y="{y + 11:.1f}">{escape(label)}</text>'
    return (
        f'<g class="{"chosen" if chosen else "node"}"><title>{escape(name)} {escape(label)}</title>'
        f'{body} class="ground"/>{body} class="shade" fill-opacity="{shade:.2f}"/>'
        f"{ring if node == experiment.target else ''}{words}</g>"
    )


def _line(points: Sequence[tuple[float, float]], arrow: bool) -> str:
    """Return the SVG path through the points, smooth if it is bent; an arrow has a head."""
    path, bent = "M{:.1f} {:.1f}".format(*points[0]), len(points) > 2
    for (ax, ay), (bx, by) in pairwise(points):
        half = (ay + by) / 2
        curve = f"C{ax:.1f} {half:.1f} {bx:.1f} {half:.1f} {bx:.1f} {by:.1f}"
        path += curve if bent else f"L{bx:.1f} {by:.1f}"
    if not arrow:
        return path
    (ax, ay), (bx, by) = points[-2:]
    towards = math.pi / 2 if bent else math.atan2(by - ay, bx - ax)
    for turn in (towards + 2.7, towards - 2.7):
        path += f"M{bx:.1f} {by:.1f}L{bx + 6 * math.cos(turn):.1f} {by + 6 * math.sin(turn):.1f}"
    return path


def make_layered_layout(experiment: EpisodeTrace) -> GraphLayout:
    """Place nodes in layers by their depth, ordered so that few edges cross."""
    count_, depth = len(experiment.nodes), compute_depths(len(experiment.nodes), experiment.edges)
    # The layout of Sugiyama et al. (1981): an edge that spans several layers becomes a chain of
    # short ones through dummy nodes, numbered after the real nodes, which are ordered with them.
    layer, links, chains = dict(enumerate(depth)), list[tuple[int, int]](), list[list[int]]()
    for start, end in experiment.edges:
        between = range(len(layer), len(layer) + depth[end] - depth[start] - 1)
        layer |= {node: depth[start] + 1 + i for i, node in enumerate(between)}
        chains.append([start, *between, end])
        links += pairwise(chains[-1])
    rows = [[p for p in layer if layer[p] == d] for d in range(max(depth, default=0) + 1)]
    _untangle(rows, links)
    widest = max((len(_short(name)) for name in experiment.nodes), default=0)
    labels = [len(label) for frame in experiment.frames for label in frame.labels]
    text = LETTER * max(widest, *labels, 3) + 7
    full = 2 * RADIUS + text + 8
    widths = [sum(full if p < count_ else PASSING for p in row) for row in rows]
    at: dict[int, tuple[float, float]] = {}
    for number, (row, width) in enumerate(zip(rows, widths, strict=True)):
        x = (max(widths) - width) / 2
        for node in row:
            offset = RADIUS + 6 if node < count_ else PASSING / 2
            at[node] = (x + offset, RADIUS + 6 + number * LAYER)
            x += full if node < count_ else PASSING
    lines = [_clear([at[node] for node in chain]) for chain in chains]
    height = 2 * (RADIUS + 6) + (len(rows) - 1) * LAYER
    return GraphLayout(max(widths), height, [at[node] for node in range(count_)], lines)


def make_given_layout(experiment: EpisodeTrace) -> GraphLayout:
    """Place nodes at the positions that the episode gives, in the picture's scale."""
    across, down = zip(*experiment.places, strict=True)
    wide, high = max(across) - min(across) or 1.0, max(down) - min(down) or 1.0
    room, margin = BOX - 60, RADIUS + 6
    at = [
        (margin + room * (x - min(across)) / wide, margin + room * high / wide * (y - min(down)))
        for x, y in experiment.places
    ]
    lines = [_clear([at[start], at[end]]) for start, end in experiment.edges]
    return GraphLayout(BOX, 2 * margin + room * high * high / wide, at, lines)


def compute_depths(nodes: int, edges: Sequence[Sequence[int]]) -> list[int]:
    """Compute the longest path to each node from one without incoming edges."""
    depth = [0] * nodes
    for _ in range(nodes):  # the longest path has fewer edges; a bound also ends cycles
        for start, end in edges:
            depth[end] = min(max(depth[end], depth[start] + 1), nodes)
    return depth


def _untangle(rows: list[list[int]], links: Sequence[tuple[int, int]]) -> None:
    """Order each row by the mean position of its neighbours in the rows above, then below."""
    # The barycentre heuristic. Four sweeps are enough for graphs of report size; the exact minimum
    # of crossings is NP-hard.
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for start, end in links:
        above.setdefault(end, []).append(start)
        below.setdefault(start, []).append(end)
    for _ in range(4):
        for linked, ordered in ((above, rows), (below, rows[::-1])):
            rank = {node: i / max(len(row) - 1, 1) for row in rows for i, node in enumerate(row)}
            for row in ordered:
                row.sort(
                    key=lambda p: fmean(rank[q] for q in linked[p]) if p in linked else rank[p]
                )
                rank |= {node: i / max(len(row) - 1, 1) for i, node in enumerate(row)}


def _clear(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Shorten an edge so that it begins and ends at the rims of its nodes."""
    gap = RADIUS + 3
    if len(points) > 2:
        (ax, ay), (bx, by) = points[0], points[-1]
        return [(ax, ay + gap), *points[1:-1], (bx, by - gap)]
    (ax, ay), (bx, by) = points
    length = math.hypot(bx - ax, by - ay) or 1.0
    dx, dy = gap * (bx - ax) / length, gap * (by - ay) / length
    return [(ax + dx, ay + dy), (bx - dx, by - dy)]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
