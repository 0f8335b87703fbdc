"""The report of a run: one HTML page for offline use and printing, built from event rows only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs

from tune_jobs.formatting import (
    count,
    format_command,
    format_duration,
    format_end_reason,
    format_estimate,
    format_identifier,
    format_measurement,
    format_number,
    format_percent,
    format_values,
)
from tune_jobs.report import (
    chart_section,
    episode_figure,
    video_section,
    winner_section,
)
from tune_jobs.report import plots as figures
from tune_jobs.report.html_parts import FITTING, STYLE, figure, render_note, section, table
from tune_jobs.report.importance import render_importance
from tune_jobs.report.lineage import plot_lineage
from tune_jobs.report.parallel_coordinates import plot_parallel_coordinates
from tune_jobs.report.plots import Plot
from tune_jobs.run_log.evaluation_status import (
    describe_cut_off,
    format_episode_count,
    recommend_sampling,
)
from tune_jobs.run_log.events import DISPROVED, EvaluationRow, FindingRow, Row
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.trial_outcome import TrialOutcome

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; media-src data:"
)
"""Content security policy: nothing written into the page can send a request to the network."""


def write_report(rows: Iterable[Row], job_yaml: str, path: str | Path) -> None:
    """Write the report of a run, finished or not, replacing an older one in one step.

    Args:
        rows: the event rows of the run.
        job_yaml: the resolved job, shown so that it can be run again.
        path: the HTML file, in the run directory.

    Raises:
        InputError: if there is no job row among the rows.
    """
    # Built before the file is opened: a log that cannot be shown leaves the older report in place.
    path = Path(path)
    page = _page(Outcome.from_rows(rows), job_yaml, path.parent)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _page(outcome: Outcome, job_yaml: str, directory: Path) -> str:
    body = [
        _headline(outcome),
        section(
            "Compared on the same seeds",
            _comparison(outcome.evaluation, outcome.evaluation_failure),
        ),
        *winner_section.render_winner_sections(outcome),
        section("Trials", _trials(outcome)),
        section("Learning curves", *_learning(outcome)),
        *chart_section.render_chart_sections(outcome),
        *chart_section.render_examples(outcome.evaluation),
        section("Choices", *_choices(outcome)),
        section("Loss of each node by interventions", *_nodes(outcome.evaluation)),
        section("One episode, step by step", *_episode(outcome.evaluation)),
        *video_section.render_video_section(outcome, directory),
        section("Inside the training", *_inside(outcome)),
        section("Settings and score", *_settings(outcome)),
        *_lineage(outcome),
        section("Ledger", *_ledger(outcome)),
        section("Findings", _findings(outcome.findings), _siblings(outcome.siblings)),
        section("To run it again", *_again(outcome, job_yaml, directory)),
    ]
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(outcome.job.run)}</title>
<style>{STYLE}</style>
<script>{get_plotlyjs()}</script>
</head><body>
{"".join(body)}<script>{FITTING}</script>
</body></html>
"""


def _headline(outcome: Outcome) -> str:
    job, best = outcome.job, outcome.best
    started = datetime.fromtimestamp(job.time, UTC).strftime("%d %B %Y, %H:%M UTC")
    scheduler = format_end_reason(str(job.scheduler.get("kind", "none")))
    about = f"{job.env}, {job.algo}, {count(job.trials, 'trial')}, scheduler {scheduler}, {started}"
    better = "higher" if job.mode == "max" else "lower"
    of_best = "no trial has a finite score"
    if best:
        of_best = f"trial {best.id}, by {outcome.best_by}; {better} is better"
        if best.checkpoint_score is not None:
            of_best += f"; of iteration {best.checkpoint_iteration} of {best.iterations}"
    metric = outcome.won.metric if outcome.won else job.metric
    run = outcome.progress_text
    if job.steps:
        run += f", {outcome.env_steps:,} steps (budget {job.steps:,} a trial and seed)"
    figures_ = [
        (f"best {format_identifier(metric)}", format_measurement(outcome.best_score), of_best),
        ("compute saved", format_percent(outcome.compute_saved), run),
        _third_figure(outcome),
    ]
    cards = "".join(
        f"<div><span>{escape(name)}</span><strong>{escape(value)}</strong><small>{escape(note)}</small></div>"
        for name, value, note in figures_
    )
    return (
        f"<header><h1>{escape(job.run)}</h1><p>{escape(about)}</p>{_unfinished(outcome)}"
        f'<div class="cards">{cards}</div></header>'
    )


def _third_figure(outcome: Outcome) -> tuple[str, str, str]:
    ended = sum(trial.end_reason is not None for trial in outcome.trials)
    note = f"{ended} of {count(outcome.job.trials, 'trial')} ended"
    if outcome.end is not None:
        return "time taken", format_duration(outcome.end.seconds), note
    times = [trial.results[-1].time for trial in outcome.trials if trial.results]
    return (
        "time so far",
        format_duration(max(times, default=outcome.job.time) - outcome.job.time),
        note,
    )


def _unfinished(outcome: Outcome) -> str:
    if outcome.end is None:
        sentence = "The log of this run has no end: it is still running, or it was killed."
    elif outcome.end.reason == "error":
        why = f": {outcome.end.sentence}" if outcome.end.sentence else ""
        sentence = f"This run failed before all of its trials ended{escape(why)}."
    elif outcome.end.reason == "done":
        return ""
    else:
        how = "stopped" if outcome.end.reason == "stopped" else "interrupted"
        sentence = f"This run was {how} before all of its trials ended."
    left = count(outcome.iterations_open, "iteration")
    return f'<p class="notice">{sentence} Of its budget {left} are neither run nor saved.</p>'


def _comparison(evaluation: EvaluationRow | None, failure: str = "") -> str:
    if evaluation is None:
        none = "The best trial has not been compared with random and simple rules"
        return render_note(f"{none}: {failure}" if failure else f"{none}.")
    names, errors = list(evaluation.policy), evaluation.standard_errors
    rows: list[list[str]] = []
    for player, values in ({"policy": evaluation.policy} | evaluation.baselines).items():
        own = player == "policy"
        head = f"<b>trial {escape(evaluation.trial)}</b>" if own else escape(player)
        error = errors.get(player, {})
        rows.append([head, *(format_estimate(values.get(n), error.get(n)) for n in names)])
    note = f"{format_episode_count(evaluation, 'episode')} each, from seed {evaluation.seed}"
    note += "; ± is a standard error." if any(errors.values()) else "."
    if evaluation.better_than_random is not None:
        note += (
            f" Better than random on {format_percent(evaluation.better_than_random)} of the seeds."
        )
    advice = recommend_sampling(evaluation.better_than_greedy, evaluation.episodes)
    note = " ".join(filter(None, [note, describe_cut_off(evaluation.cut_off), advice]))
    return (
        table(["policy", *map(format_identifier, names)], rows, text=1) + f"<p>{escape(note)}</p>"
    )


def _trials(outcome: Outcome) -> str:
    job, best = outcome.job, outcome.best
    head = ["trial", format_identifier(job.metric), "iterations", *job.searched, "how it ended"]
    sign = -1 if job.mode == "max" else 1

    def rank(trial: TrialOutcome) -> tuple[bool, float]:
        score = trial.finite_score
        return score is None, sign * (score or 0.0)

    rows: list[list[str]] = []
    for trial in sorted(outcome.trials, key=rank):
        settings = [escape(format_number(trial.config.get(name))) for name in job.searched]
        strong = "<b>{}</b>" if trial is best else "{}"
        iterations = f"{trial.iterations}" + (f" of {trial.budget}" if trial.budget else "")
        score = strong.format(format_measurement(trial.score))
        if trial.score_spread is not None:
            score += f" ± {format_measurement(trial.score_spread)}"
        ending = escape(trial.full_status_text)
        rows.append([strong.format(escape(trial.id)), score, iterations, *settings, ending])
    undrawn = job.trials - len(outcome.trials)
    note = f"{count(undrawn, 'trial')} not drawn yet." if undrawn > 0 else ""
    return table(head, rows, text=1, sentence=True) + (render_note(note) if note else "")


def _learning(outcome: Outcome) -> list[str]:
    unscored = [trial.id for trial in outcome.trials if not trial.finite_scores]
    parts = [_plot("learning", "", figures.plot_learning_curves(outcome))]
    if unscored:
        parts.append(
            render_note(f"Without a finite score, so not drawn: trial {', '.join(unscored)}.")
        )
    return parts


def _choices(outcome: Outcome) -> list[str]:
    over_time = _plot(
        "over-time", "Of the best trial, by iteration", figures.plot_choices_over_time(outcome)
    )
    compared = _plot(
        "compared", "In the evaluation, by policy", figures.plot_choices_by_policy(outcome)
    )
    return [over_time, compared]


def _nodes(evaluation: EvaluationRow | None) -> list[str]:
    plots = figures.plot_node_losses(evaluation)
    if not plots or evaluation is None:
        return [render_note("No evaluation has recorded losses by node.")]
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{policy}</span>'
        for policy, colour in figures.list_policy_colours(evaluation)
    )
    grid = "".join(
        _plot(f"node-{place}", node, plot) for place, (node, plot) in enumerate(plots.items())
    )
    note = render_note("Mean over the episodes, on the same scale for every node.")
    return [f'<p class="legend">{legend}</p>{note}<div class="grid">{grid}</div>']


def _episode(evaluation: EvaluationRow | None) -> list[str]:
    return episode_figure.render_episode_section(evaluation.experiment if evaluation else {})


def _inside(outcome: Outcome) -> list[str]:
    entropy = figures.plot_metric_curves(outcome, "entropy_normalised", "entropy / its maximum")
    gradient = figures.plot_metric_curves(outcome, "grad_norm", "gradient norm", log=True)
    pair = _plot("entropy", "Entropy", entropy) + _plot("gradient", "Gradient norm", gradient)
    for part in ("head", "backbone"):
        plot = figures.plot_metric_curves(outcome, f"grad_norm_{part}", "gradient norm", log=True)
        # Not every network has a head of its own.
        if not isinstance(plot, str):
            pair += _plot(part, f"Gradient norm of the policy's {part}", plot)
    return [f'<div class="pair">{pair}</div>']


def _settings(outcome: Outcome) -> list[str]:
    plot = plot_parallel_coordinates(outcome)
    key = (
        ""
        if isinstance(plot, str)
        else render_note("A line is a trial; blue is better, orange worse.")
    )
    return [key, _plot("settings", "", plot, wide=True), render_importance(outcome)]


def _lineage(outcome: Outcome) -> list[str]:
    """Render the lineage of a population; other schedulers copy no trial."""
    if outcome.job.scheduler.get("kind") != "pbt":
        return []
    exploits = sorted((e for t in outcome.trials for e in t.exploits), key=lambda e: e.time)
    rows = [[f"trial {escape(e.trial)}", f"{e.iteration}", escape(e.sentence)] for e in exploits]
    told = table(["trial", "iteration", "exploit"], rows, text=1, sentence=True) if rows else ""
    return [section("Lineage", _plot("lineage", "", plot_lineage(outcome)), told)]


def _ledger(outcome: Outcome) -> list[str]:
    rows: list[list[str]] = []
    for name, iterations in outcome.iterations_saved_by_reason.items():
        trials = [t for t in outcome.trials if t.end_reason == name and t.iterations_saved]
        seconds = sum(trial.seconds_saved or 0.0 for trial in trials)
        share = format_percent(iterations / outcome.budget)
        figures_ = [f"{len(trials)}", f"{iterations:,}", share, format_duration(seconds)]
        rows.append([escape(format_end_reason(name)), *figures_])
    total = sum(outcome.iterations_saved_by_reason.values())
    seconds = sum(trial.seconds_saved or 0.0 for trial in outcome.trials)
    saving = sum(trial.iterations_saved > 0 for trial in outcome.trials)
    values = [
        f"{saving}",
        f"{total:,}",
        format_percent(outcome.compute_saved),
        format_duration(seconds),
    ]
    rows.append(["<b>all</b>", *(f"<b>{value}</b>" for value in values)])
    head = ["saved by", "trials", "iterations not run", "of the budget", "training time, estimated"]
    note = "The time is estimated from each trial's own seconds per iteration."
    if agreement := outcome.rung_agreement:
        sentence = agreement.sentence
        note += f" {sentence[:1].upper()}{sentence[1:]}."
    return [
        _plot("compute", "", figures.plot_compute(outcome)),
        table(head, rows, text=1),
        render_note(note),
    ]


def _findings(findings: Sequence[FindingRow]) -> str:
    if not findings:
        return render_note("The health rules found nothing.")
    return f'<ol class="findings">{"".join(map(_finding, findings))}</ol>'


def _finding(row: FindingRow) -> str:
    said = [row.evidence, row.siblings, row.remedy]
    word = row.severity
    if row.withdrawn:
        word = "withdrawn"
        said = [row.evidence, f"Withdrawn at iteration {row.withdrawn}: {DISPROVED}"]
    return (
        f'<li><b class="{escape(word)}">{escape(word)}</b> '
        f"Trial {escape(row.trial)}, {escape(format_identifier(row.symptom))} "
        f"since iteration {row.since}: "
        f"{escape('. '.join(filter(None, said)))}</li>"
    )


def _siblings(siblings: Mapping[str, str]) -> str:
    """Render what each symptom points at, by the trials that have it."""
    if not siblings:
        return ""
    rows = [
        [escape(format_identifier(symptom)), escape(said)] for symptom, said in siblings.items()
    ]
    return "<h3>Compared between the trials</h3>" + table([], rows, text=1, sentence=True)


def _again(outcome: Outcome, job_yaml: str, directory: Path) -> list[str]:
    job = outcome.job
    commands = [
        ["the same job anew", format_command("rungwise", "tune", directory / "job.yaml")],
        ["what was left open", format_command("rungwise", "resume", directory)],
        ["this page again", format_command("rungwise", "report", directory)],
    ]
    if outcome.best and (path := outcome.find_result(directory)):
        which = f"the checkpoint of the result, iteration {outcome.best.checkpoint_iteration}"
        commands.insert(0, [which, str(path)])
    rows = [[escape(what), f"<code>{escape(command)}</code>"] for what, command in commands]
    seeds = f"job {job.seed}"
    if outcome.evaluation is not None:
        seeds += f", evaluation {outcome.evaluation.seed}"
    rows.append(["seeds", escape(seeds)])
    for part, values in job.changes.items():
        rows.append(
            [f"not default: {escape(format_identifier(part))}", escape(format_values(values))]
        )
    rows.extend([escape(name), escape(version)] for name, version in job.versions.items())
    if job.resumed:
        rows.append(["resumed", "yes, from its last checkpoints"])
    details = f"<details><summary>The resolved job</summary><pre>{escape(job_yaml)}</pre></details>"
    return [table([], rows, text=2, sentence=True), details]


def _plot(name: str, caption: str, plot: Plot, wide: bool = False) -> str:
    if isinstance(plot, str):
        return render_note(plot)
    return figure(name, caption, plot, wide)
