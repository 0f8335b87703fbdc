"""The report sections on causal learning: node losses and reward terms over training."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from tune_jobs.formatting import format_identifier
from tune_jobs.report.html_parts import figure, render_note, section
from tune_jobs.report.plots import ACCENT, compute_range, make_blank_figure, spans_decades
from tune_jobs.run_log.node_losses import METRIC
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.trial_outcome import to_finite_float

REWARD_TERMS = (
    "reward_log_gain",
    "reward_improvement",
    "reward_concentration",
    "reward_coverage",
    "reward_undersampled",
)
"""Metrics of the terms that the reward of CausalLearning may have."""
FLOOR = 1e-4
"""Fraction of the largest loss below which smaller ones are drawn: a root is learnt to the last
digit."""


def render_causal_sections(outcome: Outcome) -> list[str]:
    """Render the sections; an empty list for a run without node losses and reward terms."""
    losses, terms = get_node_losses(outcome), get_reward_terms(outcome)
    sections: list[str] = []
    if losses:
        note = render_note(
            "Excess risk at the end of the episodes of an iteration, mean over the episodes of the "
            "best trial, on the same scale for every node."
        )
        plots = plot_small_multiples(outcome, losses, common_scale=True)
        sections.append(section("Loss of each node by iteration", note, _grid("loss", plots)))
    if terms:
        note = render_note(
            "Mean over the steps of an iteration of the best trial, weights included; each on a "
            "scale of its own."
        )
        plots = plot_small_multiples(outcome, terms, common_scale=False)
        sections.append(section("Terms of the reward by iteration", note, _grid("term", plots)))
    return sections


def get_node_losses(outcome: Outcome) -> dict[str, dict[int, float]]:
    """Return the best trial's loss by node and iteration."""
    series: dict[str, dict[int, float]] = {}
    for row in outcome.best.results if outcome.best else ():
        for node, loss in zip(outcome.job.choice_names, row.metrics.get(METRIC, ()), strict=False):
            if (known := to_finite_float(loss)) is not None:
                series.setdefault(node, {})[row.iteration] = known
    return series


def get_reward_terms(outcome: Outcome) -> dict[str, dict[int, float]]:
    """Return the best trial's reward terms by name and iteration."""
    rows = outcome.best.results if outcome.best else ()
    series = {
        format_identifier(term.removeprefix("reward_")): {
            row.iteration: known
            for row in rows
            if (known := to_finite_float(row.metrics.get(term))) is not None
        }
        for term in REWARD_TERMS
    }
    return {term: values for term, values in series.items() if values}


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
        plot.update_yaxes(type="log" if log else "linear", tickformat=".3~g")
        if common_scale:
            plot.update_yaxes(range=compute_range(max(min(values), floor), max(values), log))
    return figures


def _grid(name: str, plots: Mapping[str, go.Figure]) -> str:
    drawn = (
        figure(f"{name}-{i}", title, plot, False) for i, (title, plot) in enumerate(plots.items())
    )
    return f'<div class="grid">{"".join(drawn)}</div>'
