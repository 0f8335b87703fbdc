"""The report sections that only some runs have: charts of the environment, finals, videos."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from rungwise.formatting import count, format_estimate, format_identifier, format_measurement
from rungwise.metrics import HELD_OUT
from rungwise.report_chart import ReportChart
from rungwise.run_log.events import EvaluationRow, FinalRow, ResultRow, VideoRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import average_trials, to_finite_float
from tune_jobs.report.axes import set_log_axis
from tune_jobs.report.html_parts import Part, draw, render_note, section, table
from tune_jobs.report.plots import (
    ACCENT,
    MUTED,
    PALETTE,
    compute_range,
    make_blank_figure,
    spans_decades,
)
from tune_jobs.report.result_score import (
    explain_missing_finals,
    find_result_score,
    label_training_score,
)

FLOOR = 1e-4
"""Fraction of the largest value below which smaller ones are drawn on a common scale: a root of a
causal model is learnt to the last digit."""
STROKES = (
    {"color": ACCENT, "dash": "solid", "width": 2.5},
    {"color": MUTED, "dash": "solid", "width": 2.5},
    {"color": PALETTE[1], "dash": "dot", "width": 1.5},
    {"color": PALETTE[3], "dash": "dash", "width": 1.5},
)
"""Strokes of overlaid curves, in turn; they differ also for readers who see no colours."""
MOST_BYTES = 20 * 2**20
"""Bytes of all videos inside a page; later ones are links to files in the same folder."""


def render_chart_sections(outcome: Outcome) -> list[str]:
    """Render a section for each chart of the job whose metrics the best trial reports."""
    sections: list[str] = []
    for number, chart in enumerate(map(ReportChart.from_dict, outcome.job.charts)):
        curves = read_curves(outcome, chart)
        if not curves:
            continue
        if chart.layout == "overlaid":
            drawn: Part = draw(f"chart-{number}", "", plot_overlaid(outcome, chart))
        else:
            plots = plot_small_multiples(outcome, curves, chart.layout == "common scale")
            parts = enumerate(plots.items())
            drawn = [draw(f"chart-{number}-{i}", name, plot) for i, (name, plot) in parts]
        sections.append(section(chart.title, render_note(chart.about), drawn))
    return sections


def read_curves(outcome: Outcome, chart: ReportChart) -> dict[str, dict[int, float]]:
    """Return the best trial's values by iteration of each curve of a chart, by its label."""
    curves: dict[str, dict[int, float]] = {}
    for row in _get_results(outcome):
        for metric, label in chart.curves.items():
            value = row.metrics.get(metric)
            named = (
                zip(outcome.job.choice_names, value, strict=False)
                if isinstance(value, list)
                else [(label, value)]
            )
            for name, number in named:
                if (finite := to_finite_float(number)) is not None:
                    curves.setdefault(name, {})[row.iteration] = finite
    return curves


def plot_overlaid(outcome: Outcome, chart: ReportChart) -> go.Figure:
    """Plot the curves of a chart in one figure, with rings for their values on held-out seeds."""
    plot = make_blank_figure(height=340, legend=True)
    rows = _get_results(outcome)
    for index, (metric, label) in enumerate(chart.curves.items()):
        stroke = STROKES[index % len(STROKES)]
        plot.add_scatter(**_read_series(rows, metric), name=label, mode="lines", line=stroke)
        held = _read_series(rows, HELD_OUT + metric)
        if any(y is not None for y in held["y"]):
            marker = {"color": stroke["color"], "symbol": "circle-open", "size": 7}
            plot.add_scatter(**held, name=label, mode="markers", marker=marker, showlegend=False)
    plot.update_xaxes(title="iteration", range=[0, outcome.job.iterations * 1.02])
    plot.update_yaxes(title=chart.axis)
    return plot


def plot_small_multiples(
    outcome: Outcome, series: Mapping[str, Mapping[int, float]], common_scale: bool
) -> dict[str, go.Figure]:
    """Plot each series by iteration in a small figure of its own.

    Args:
        outcome: the run.
        series: values by name and iteration.
        common_scale: whether all figures have one range, logarithmic where it spans a decade.
    """
    values = [value for by_iteration in series.values() for value in by_iteration.values()]
    floor = max(values) * FLOOR
    log = common_scale and spans_decades((max(value, floor) for value in values), decades=1)
    figures: dict[str, go.Figure] = {}
    for name, by_iteration in series.items():
        plot = figures[name] = make_blank_figure(height=200)
        plot.add_scatter(
            x=list(by_iteration),
            y=[max(value, floor) if log else value for value in by_iteration.values()],
            mode="lines" if len(by_iteration) > 1 else "markers",
            line={"width": 2, "color": ACCENT},
            hovertemplate="iteration %{x}: %{y:.3g}<extra></extra>",
        )
        plot.update_layout(margin={"l": 48, "r": 8, "t": 8, "b": 36})
        plot.update_xaxes(title="iteration", range=[0, outcome.job.iterations * 1.02])
        if log:
            set_log_axis(plot, [max(value, floor) for value in values])
        elif common_scale:
            plot.update_yaxes(range=compute_range(max(min(values), floor), max(values)))
    return figures


def render_examples(evaluation: EvaluationRow | None) -> list[str]:
    """Render the sample episodes of the evaluation as a table; an empty list without any."""
    rows: Sequence[Mapping[str, str]] = evaluation.examples if evaluation else ()
    if not rows:
        return []
    head = list(rows[0])
    cells = [[escape(row.get(name, "")) for name in head] for row in rows]
    how = (
        "Most likely actions."
        if evaluation and evaluation.shown == "greedy"
        else "Sampled actions."
    )
    return [section("Sample episodes", table(head, cells, text=len(head) - 1), render_note(how))]


def _get_results(outcome: Outcome) -> Sequence[ResultRow]:
    return outcome.best.results if outcome.best else ()


def _read_series(rows: Sequence[ResultRow], metric: str) -> dict[str, Any]:
    return {
        "x": [row.iteration for row in rows],
        "y": [to_finite_float(row.metrics.get(metric)) for row in rows],
        "hovertemplate": "iteration %{x}: %{y:.3g}",
    }


def render_winner_sections(outcome: Outcome) -> list[str]:
    """Return the trials that repeat the best settings, if any, and the finals."""
    finals = _finals(outcome)
    shown = [section("Choice of the winner", *finals)] if finals else []
    return [*_repeats(outcome), *shown]


def _repeats(outcome: Outcome) -> list[str]:
    if not outcome.repeated:
        return []
    rows = [
        [
            f"{'<b>best</b> ' if index == 0 else ''}those of trial {escape(pair[0].id)}",
            *(format_measurement(trial.settled_score) for trial in pair),
            format_measurement(average_trials(pair)),
        ]
        for index, pair in enumerate(outcome.repeated)
    ]
    note = (
        f"Mean {format_identifier(outcome.job.metric)} in the later half of each training. The "
        "first column was chosen as the best of many, the second was not."
    )
    head = ["settings", "first training", "another seed", "mean"]
    return [
        section("The best settings on another seed", table(head, rows, text=1), render_note(note))
    ]


def _finals(outcome: Outcome) -> list[str]:
    if not outcome.finals:
        why = explain_missing_finals(outcome)
        return [render_note(why)] if why else []
    trained = {trial.id: trial.score for trial in outcome.trials}
    sign = -1 if outcome.finals[-1].mode == "max" else 1

    def rank(row: FinalRow) -> float:
        """Return the rank of a final: the winner's first, those without a finite score last."""
        score = to_finite_float(row.score)
        return math.inf if score is None else sign * score

    rows = [
        [
            f"{'<b>winner</b> ' if row is outcome.won else ''}trial {escape(row.trial)}",
            format_estimate(row.score, row.error),
            format_measurement(trained.get(row.trial)),
        ]
        for row in sorted(outcome.finals, key=rank)
    ]
    last = outcome.finals[-1]
    note = (
        f"The best few trials on the same {count(last.episodes, 'fresh episode')} each, from seed "
        f"{last.seed}; ± is a standard error. These episodes chose the winner."
    )
    if (result := find_result_score(outcome)) and result.likely:
        note += " The headline score uses other episodes, so it is unbiased."
    head = [
        "policy",
        format_identifier(last.metric),
        label_training_score(outcome),
    ]
    return [table(head, rows, text=1), render_note(note)]


def render_video_section(outcome: Outcome, directory: Path) -> list[str]:
    """Return the section with the videos of a run; nothing where none was asked for.

    Args:
        outcome: the run.
        directory: the folder of the page, which the paths of the videos are relative to.
    """
    if not outcome.videos:
        return []
    parts: list[str] = []
    bytes_left = MOST_BYTES
    for row in outcome.videos:
        if row.failure:
            parts.append(render_note(f"Trial {row.trial} was not recorded: {row.failure}."))
            continue
        path = directory / row.path
        if not path.is_file():
            parts.append(render_note(f"{row.path} is not there any more."))
            continue
        size = path.stat().st_size
        inside = size <= bytes_left
        bytes_left -= size if inside else 0
        parts.append(_render_video(row, path if inside else None))
    return [section("Videos", f'<div class="pair">{"".join(parts)}</div>')]


def describe_video(row: VideoRow) -> str:
    """Describe a recorded episode in words: its seed, return and steps."""
    end = "" if row.is_complete else ", cut off before its end"
    episode_return = format_measurement(row.episode_return)
    return f"seed {row.seed}: return {episode_return} in {count(row.steps, 'step')}{end}"


def _render_video(row: VideoRow, path: Path | None) -> str:
    """Render one video: the file itself at ``path``, otherwise a link to it."""
    how = "most likely actions" if row.greedy else "sampled actions, as in training"
    about = escape(f"Trial {row.trial}, {how}, {describe_video(row)}")
    link = f'<a href="{escape(row.path)}">{escape(row.path)}</a>'
    if path is None:
        return f"<figure><figcaption>{about}. Too large for this page: {link}</figcaption></figure>"
    # As data: the page is one file that can be sent, and its security policy admits no other one.
    data = base64.b64encode(path.read_bytes()).decode()
    video = f'<video controls muted loop playsinline src="data:video/mp4;base64,{data}"></video>'
    return f"<figure>{video}<figcaption>{about} ({link})</figcaption></figure>"
