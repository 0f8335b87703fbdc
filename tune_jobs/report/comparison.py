"""Several runs compared: what differs between them, what they scored and what they cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.formatting import (
    count,
    format_duration,
    format_end_reason,
    format_estimate,
    format_identifier,
    format_measurement,
    format_number,
    format_percent,
    format_time,
)
from rungwise.health.finding import SEVERITIES
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import SPREAD, TrialOutcome, to_finite_float
from tune_jobs.report.axes import set_log_axis
from tune_jobs.report.html_parts import draw, render_note, section, table
from tune_jobs.report.plots import PALETTE, Plot, make_blank_figure, spans_decades
from tune_jobs.report.report import make_page, replace_file
from tune_jobs.report.result_score import ResultScore, find_result_score
from tune_jobs.report.shared_sections import measure_wall_time

Outcomes = Mapping[str, Outcome]
"""The runs by name, in the order in which they are shown."""
MEASURED = "measured"
"""Heading of a last column of sentences."""
NORMAL = 1.96
"""Standard errors on either side of a mean that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class ComparedTable:
    """A table of the comparison, in plain text."""

    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""


@dataclass(frozen=True)
class Curve:
    """Scores over environment steps: of one training, or the mean of several with a band."""

    about: str
    steps: list[float]
    scores: list[float]
    low: list[float]
    """Lower edge of the band; empty for a single training."""
    high: list[float]


def list_compared_tables(outcomes: Outcomes) -> list[ComparedTable]:
    """Return the tables of a comparison; those without rows are left out."""
    tables = [
        list_scores(outcomes),
        list_different_settings(outcomes),
        list_compute(outcomes),
        list_findings(outcomes),
        list_origins(outcomes),
    ]
    return [t for t in tables if t.rows]


def list_scores(outcomes: Outcomes) -> ComparedTable:
    """Return the winner's score of each run, its 95 % interval and its distance from the first."""
    rows: list[list[str]] = []
    scores = {name: find_result_score(outcome) for name, outcome in outcomes.items()}
    base = next(iter(outcomes))
    for name, score in scores.items():
        best = outcomes[name].best
        if score is None or best is None:
            rows.append([name, "-", "-", "-", "-", "-", "no trial has a finite score"])
            continue
        same_env = outcomes[name].job.env == outcomes[base].job.env
        gap = _subtract(score, scores[base]) if name != base and same_env else "-"
        metric = format_identifier(score.metric) + (f" ({score.mode})" if score.mode else "")
        source = f"trial {best.id}, {score.source}"
        interval = format_interval(score.value, score.error)
        rows.append([name, metric, score.text, interval, gap, score.likely or "-", source])
    head = [
        "run",
        "score",
        "winner",
        "95 % interval",
        "difference to the first",
        "most likely action",
    ]
    note = "± is a standard error; max: higher is better, min: lower is better."
    return ComparedTable("Best scores", [*head, MEASURED], rows, note)


def _subtract(score: ResultScore, base: ResultScore | None) -> str:
    if base is None or score.value is None or base.value is None or score.metric != base.metric:
        return "-"
    has_error = score.error is not None and base.error is not None
    error = math.hypot(score.error or 0.0, base.error or 0.0) if has_error else None
    return format_estimate(score.value - base.value, error)


def format_interval(value: float | None, error: float | None) -> str:
    """Format the 95 % interval of a mean; a dash where its error is not known."""
    if value is None or error is None:
        return "-"
    return " to ".join(format_measurement(value + s * NORMAL * error) for s in (-1, 1))


def list_different_settings(outcomes: Outcomes) -> ComparedTable:
    """Return the settings that are not the same in all runs; searched ones are the winner's."""
    settings = {name: collect_settings(outcome) for name, outcome in outcomes.items()}
    names = dict.fromkeys(name for values in settings.values() for name in values)
    rows = [
        [name, *(format_setting(values, name) for values in settings.values())]
        for name in names
        if len({repr(values.get(name)) for values in settings.values()}) > 1
    ]
    note = "Searched settings are those of the winner. The other settings are the same."
    return ComparedTable("Settings that differ", ["setting", *outcomes], rows, note)


def format_setting(settings: Mapping[str, Any], name: str) -> str:
    """Format a setting of a run; one that the run does not state has its default."""
    missing = "not searched" if name.startswith("search of ") else "default"
    return format_number(settings[name]) if name in settings else missing


def collect_settings(outcome: Outcome) -> dict[str, Any]:
    """Return what a run states of its job, flat, with the winner's searched values."""
    job = outcome.job
    flat: dict[str, Any] = {
        "environment": job.env,
        "algorithm": job.algo,
        "score": job.metric,
        "scheduler": job.scheduler.get("kind", "none"),
        "trials": job.trials,
        "iterations": job.iterations,
        "budget in steps": job.steps or "-",
        "seed": job.seed,
        "seeds": job.seeds,
    }
    for part, values in job.changes.items():
        for name, value in values.items():
            if part == "search":
                flat[f"search of {name}"] = ", ".join(f"{k} {v}" for k, v in value.items())
            elif name not in flat and name not in ("steps", "iterations"):
                flat[name if part in ("settings", "job") else f"{part}.{name}"] = value
    return flat | (dict(outcome.best.config) if outcome.best else {})


def list_compute(outcomes: Outcomes) -> ComparedTable:
    """Return what each run has spent and saved."""
    rows: list[list[str]] = []
    for name, outcome in outcomes.items():
        trained = sum(trial.seconds for trial in outcome.trials)
        rows.append(
            [
                name,
                f"{len(outcome.trials)} of {outcome.job.trials}",
                f"{outcome.iterations_run:,} of {outcome.budget:,}",
                f"{outcome.env_steps:,}",
                format_duration(measure_wall_time(outcome)),
                format_duration(trained * outcome.job.cpus_per_trial),
                format_percent(outcome.compute_saved),
                format_end_reason(outcome.end.reason) if outcome.end else "not ended",
            ]
        )
    head = ["run", "trials", "iterations", "env steps", "wall time", "CPU time", "saved", "end"]
    return ComparedTable("Compute", head, rows, "CPU time is that of the CPUs that trials held.")


def list_findings(outcomes: Outcomes) -> ComparedTable:
    """Return in how many trials of each run a health rule found something."""
    standing = {
        name: [row for row in outcome.findings if not row.withdrawn]
        for name, outcome in outcomes.items()
    }
    symptoms = dict.fromkeys(row.symptom for rows in standing.values() for row in rows)
    rows: list[list[str]] = []
    for symptom in symptoms:
        cells = [format_identifier(symptom)]
        for name, findings in standing.items():
            matching = [row for row in findings if row.symptom == symptom]
            worst = max((row.severity for row in matching), key=SEVERITIES.index, default="")
            trials = f"{len({row.trial for row in matching})} of {len(outcomes[name].trials)}"
            cells.append(f"{worst} in {trials} trials" if matching else "-")
        rows.append(cells)
    return ComparedTable("Findings", ["finding", *outcomes], rows)


def list_origins(outcomes: Outcomes) -> ComparedTable:
    """Return when, where and with which code and versions each run was made."""
    origins = [
        {
            "started": format_time(job.time),
            "commit": job.commit,
            **{part: job.machine.get(part, "") for part in ("host", "cpu", "gpu")},
            **job.versions,
        }
        for job in (outcome.job for outcome in outcomes.values())
    ]
    names = dict.fromkeys(name for origin in origins for name in origin)
    rows = [[name, *(origin.get(name) or "-" for origin in origins)] for name in names]
    rows = [row for row in rows if set(row[1:]) != {"-"}]
    return ComparedTable("Code, versions and machine", ["", *outcomes], rows)


def plot_compared_curves(outcomes: Outcomes) -> Plot:
    """Plot the best trial of each run over environment steps, with a band over several seeds."""
    curves = {name: curve for name, outcome in outcomes.items() if (curve := make_curve(outcome))}
    metrics = Counter(outcomes[name].job.metric for name in curves)
    if not curves:
        return "No run has a finite score."
    if len(metrics) > 1:
        names = ", ".join(map(format_identifier, metrics))
        return f"The runs have different scores ({names}), so their curves share no axis."
    figure = make_blank_figure(height=430, legend=True)
    drawn = [y for curve in curves.values() for y in (*curve.scores, *curve.low, *curve.high)]
    log = spans_decades(drawn, decades=1)
    for index, (name, curve) in enumerate(curves.items()):
        colour = PALETTE[index % len(PALETTE)]
        if curve.low:
            figure.add_scatter(
                x=[*curve.steps, *reversed(curve.steps)],
                y=[*curve.high, *reversed(curve.low)],
                fill="toself",
                fillcolor=colour,
                opacity=0.2,
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
            )
        figure.add_scatter(
            x=curve.steps,
            y=curve.scores,
            mode="lines" if len(curve.steps) > 1 else "markers",
            line={"width": 2.5, "color": colour},
            name=escape(f"{name}, {curve.about}"),
            hovertemplate=f"{escape(name)}, %{{x:,}} steps: %{{y:.3g}}<extra></extra>",
        )
    figure.update_xaxes(title="environment steps", rangemode="tozero")
    title = f"training score: {escape(format_identifier(next(iter(metrics))))}"
    figure.update_yaxes(title=f"{title} (log scale)" if log else title)
    if log:
        set_log_axis(figure, drawn)
    return figure


def make_curve(outcome: Outcome) -> Curve | None:
    """Return the curve of a run's best settings; None where they have no finite score."""
    best = outcome.best
    if best is None:
        return None
    pair = next((pair for pair in outcome.repeated if best in pair), [best])
    if len(pair) > 1:
        return _average(pair)
    points = [(row, y) for row in best.results if (y := to_finite_float(row.score)) is not None]
    if not points:
        return None
    steps, scores = [float(row.env_steps) for row, _ in points], [y for _, y in points]
    spreads = [to_finite_float(row.metrics.get(SPREAD)) for row, _ in points]
    about, low, high = f"trial {best.id}", list[float](), list[float]()
    if outcome.job.seeds > 1 and any(spread is not None for spread in spreads):
        low = [y - (s or 0.0) for y, s in zip(scores, spreads, strict=True)]
        high = [y + (s or 0.0) for y, s in zip(scores, spreads, strict=True)]
        about += f": mean of {count(outcome.job.seeds, 'seed')}, ± standard deviation"
    return Curve(about, steps, scores, low, high)


def _average(trials: Iterable[TrialOutcome]) -> Curve:
    """Return the mean of trainings of the same settings at the steps of the first, and a band."""
    curves = [
        [(row.env_steps, y) for row in t.results if (y := to_finite_float(row.score)) is not None]
        for t in trials
    ]
    shortest = min(curve[-1][0] for curve in curves)
    steps = [float(at) for at, _ in curves[0] if at <= shortest]
    values = np.array([np.interp(steps, [x for x, _ in c], [y for _, y in c]) for c in curves])
    mean, low, high = values.mean(0), values.min(0), values.max(0)
    about = f"mean of {count(len(curves), 'training')} with their range"
    return Curve(about, steps, mean.tolist(), low.tolist(), high.tolist())


def render_compared_table(compared: ComparedTable) -> str:
    """Render a table of the comparison as a section."""
    return section(
        compared.title,
        table(
            compared.head,
            [[escape(cell) for cell in row] for row in compared.rows],
            text=1,
            sentence=compared.head[-1] == MEASURED,
        ),
        render_note(compared.note) if compared.note else "",
    )


def write_comparison(outcomes: Outcomes, path: Path) -> None:
    """Write a page that compares runs, replacing an older one in one step."""
    sections = [render_compared_table(t) for t in list_compared_tables(outcomes)]
    curves = section("Learning curves", draw("curves", "", plot_compared_curves(outcomes)))
    names = " and ".join(filter(None, [", ".join([*outcomes][:-1]), [*outcomes][-1]]))
    title = f"<header><h1>{escape(names)}</h1></header>"
    replace_file(path, make_page(names, "".join([title, *sections[:1], curves, *sections[1:]])))
