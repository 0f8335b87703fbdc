"""What the report and the live page both show of a run: headline, choices, settings, ledger."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from rungwise.formatting import (
    count,
    format_duration,
    format_end_reason,
    format_identifier,
    format_percent,
    format_time,
)
from rungwise.run_log.events import JobRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.report import plots
from tune_jobs.report.episode_figure import render_episode_section
from tune_jobs.report.html_parts import Part, draw, render_note, table
from tune_jobs.report.importance import list_differing, measure_importance, plot_importance
from tune_jobs.report.parallel_coordinates import plot_parallel_coordinates
from tune_jobs.report.result_score import find_result_score
from tune_jobs.report.setting_views import label_score, plot_contour, plot_slices


class Card(NamedTuple):
    """One of the large figures at the top."""

    name: str
    value: str
    note: str


def describe_job(job: JobRow) -> str:
    """Describe the job of a run in one line."""
    scheduler = format_end_reason(str(job.scheduler.get("kind", "none")))
    trials = count(job.trials, "trial")
    about = f"{job.env.split(':')[-1]}, {job.algo}, {trials}, scheduler {scheduler}"
    return f"{about}, {format_time(job.time)}"


def list_cards(outcome: Outcome) -> list[Card]:
    """Return the best score, the compute saved, and the time taken or left."""
    job, best = outcome.job, outcome.best
    of_best, name, value = "no trial has a finite score", job.metric, "-"
    if best and (result := find_result_score(outcome)):
        name, value = result.metric, result.text
        better = {"max": "; higher is better", "min": "; lower is better"}.get(result.mode, "")
        of_best = f"trial {best.id}, {result.source}{better}"
        if result.likely:
            of_best += f"; most likely action: {result.likely}"
        if result.error is not None:
            of_best += "; ± is a standard error"
        if best.checkpoint_score is not None:
            of_best += f"; of iteration {best.checkpoint_iteration} of {best.iterations}"
    run = outcome.progress_text
    if job.steps:
        run += f", {outcome.env_steps:,} steps (budget {job.steps:,} a trial and seed)"
    if (agreement := outcome.rung_agreement) and agreement.is_low:
        run += f" · {agreement.sentence}"
    ended = sum(trial.end_reason is not None for trial in outcome.trials)
    clock, seconds = _measure_time(outcome)
    return [
        Card(f"best {format_identifier(name)}", value, of_best),
        Card("compute saved", format_percent(outcome.compute_saved), run),
        Card(clock, format_duration(seconds), f"{ended} of {count(job.trials, 'trial')} ended"),
    ]


def _measure_time(outcome: Outcome) -> tuple[str, float]:
    """Return the time taken in seconds, or that left if no more compute is saved, and its name."""
    if outcome.end is not None:
        return "time taken", outcome.end.seconds
    spent = measure_wall_time(outcome)
    # After a resume the iterations include those of earlier starts, but the time does not: a pace
    # would be wrong.
    if not (outcome.iterations_run and outcome.budget) or outcome.job.resumed:
        return "time so far", spent
    return "time left, at most", spent * outcome.iterations_open / outcome.iterations_run


def measure_wall_time(outcome: Outcome) -> float:
    """Return the seconds from the start of the latest session to its end or its last result."""
    if outcome.end is not None:
        return outcome.end.seconds
    times = [trial.results[-1].time for trial in outcome.trials if trial.results]
    return max(times, default=outcome.job.time) - outcome.job.time


def list_choice_parts(outcome: Outcome) -> list[Part]:
    """Return the choices of the best trial, and those of the policies of the evaluation.

    Empty where the environment names no choices.
    """
    if not outcome.job.choice_names:
        return []
    over_time = plots.plot_choices_over_time(outcome)
    compared = plots.plot_choices_by_policy(outcome)
    return [
        draw("over-time", "Choices of the best trial, by iteration", over_time),
        draw("compared", "Choices in the evaluation, by policy", compared),
    ]


def list_episode_parts(outcome: Outcome) -> list[str]:
    """Return one episode step by step; empty where the environment shows none."""
    experiment = outcome.evaluation.experiment if outcome.evaluation else {}
    if not experiment and not _may_be_recorded(outcome):
        return []
    shown = "its most likely actions" if is_greedy_shown(outcome) else "sampled actions"
    note = [render_note(f"The best policy by {shown}.")] if experiment else []
    return [*note, *render_episode_section(experiment)]


def is_greedy_shown(outcome: Outcome) -> bool:
    """Return whether the episodes of the evaluation are those of the most likely actions."""
    return outcome.evaluation is not None and outcome.evaluation.shown == "greedy"


def _may_be_recorded(outcome: Outcome) -> bool:
    """Return whether an evaluation may still record what the environment shows of episodes."""
    job = outcome.job
    return outcome.evaluation is None and bool(job.choice_names or job.charts)


def list_node_parts(outcome: Outcome) -> list[Part]:
    """Return the loss of each node of a causal model by interventions, with their legend.

    Empty where the environment has no such losses.
    """
    evaluation = outcome.evaluation
    figures = plots.plot_node_losses(evaluation)
    if not figures or evaluation is None:
        none = render_note("No evaluation has recorded losses by node.")
        return [none] if _may_be_recorded(outcome) else []
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{policy}</span>'
        for policy, colour in plots.list_policy_colours(evaluation)
    )
    note = render_note("Mean over the episodes, on the same scale for every node.")
    grid = [draw(f"node-{i}", node, plot) for i, (node, plot) in enumerate(figures.items())]
    return [f'<p class="legend">{legend}</p>{note}', grid]


def list_setting_parts(outcome: Outcome) -> list[Part]:
    """Return how the settings that differ go with the score; empty where there are none."""
    if len(outcome.trials) < 2 or not list_differing(outcome):
        return []
    importance, slices = plot_importance(outcome), plot_slices(outcome)
    contour = plot_contour(outcome)
    parts: list[Part] = [draw("importance", "Share of each setting in the differences", importance)]
    if (measured := measure_importance(outcome)) and not isinstance(importance, str):
        parts.append(render_note(measured.sentence))
    if not isinstance(slices, str):
        about = f"Each point is a trial, by its {label_score(outcome)}; the winner is blue."
        panels = enumerate(slices.items())
        parts.append(render_note(about))
        parts.append([draw(f"slice-{i}", caption, plot) for i, (caption, plot) in panels])
    if not isinstance(contour, str):
        title = "The two most important settings, and what a forest predicts between the trials"
        parts.append(draw("contour", title, contour))
    return parts


def list_coordinate_parts(outcome: Outcome) -> list[Part]:
    """Return the parallel coordinates of all settings; empty where there are none.

    Plotly compiles their drawing: a page needs ``unsafe-eval`` in its content security policy.
    """
    coordinates = plot_parallel_coordinates(outcome)
    if isinstance(coordinates, str):
        return []
    key = "Each line is a trial; blue is better, orange is worse. Drag on an axis to select."
    return [draw("settings", "All settings", coordinates, wide=True), render_note(key)]


def list_ledger_parts(outcome: Outcome) -> list[Part]:
    """Return the budget, and what was saved of it by each end reason."""
    rows: list[list[str]] = []
    for name, iterations in outcome.iterations_saved_by_reason.items():
        trials = [t for t in outcome.trials if t.end_reason == name and t.iterations_saved]
        seconds = sum(trial.seconds_saved or 0.0 for trial in trials)
        share = format_percent(iterations / outcome.budget)
        cells = [f"{len(trials)}", f"{iterations:,}", share, format_duration(seconds)]
        rows.append([escape(format_end_reason(name)), *cells])
    totals = [
        f"{sum(trial.iterations_saved > 0 for trial in outcome.trials)}",
        f"{sum(outcome.iterations_saved_by_reason.values()):,}",
        format_percent(outcome.compute_saved),
        format_duration(sum(trial.seconds_saved or 0.0 for trial in outcome.trials)),
    ]
    rows.append(["<b>all</b>", *(f"<b>{value}</b>" for value in totals)])
    head = ["saved by", "trials", "iterations not run", "of the budget", "training time, estimated"]
    note = "The time is estimated from each trial's own seconds per iteration."
    if agreement := outcome.rung_agreement:
        sentence = agreement.sentence
        note += f" {sentence[:1].upper()}{sentence[1:]}."
    budget = draw("compute", "", plots.plot_compute(outcome))
    return [budget, table(head, rows, text=1), render_note(note)]
