"""The report of a run: one HTML page for offline use and printing, built from event rows only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs

from tune_jobs.formatting import (
    count,
    format_command,
    format_estimate,
    format_identifier,
    format_measurement,
    format_number,
    format_percent,
    format_values,
)
from tune_jobs.report import plots as figures
from tune_jobs.report import run_sections, shared_sections
from tune_jobs.report.html_parts import (
    FITTING,
    STYLE,
    Part,
    draw,
    render,
    render_note,
    section,
    table,
)
from tune_jobs.report.lineage import plot_lineage
from tune_jobs.run_log.evaluation_status import (
    describe_cut_off,
    format_episode_count,
    recommend_sampling,
)
from tune_jobs.run_log.events import DISPROVED, EvaluationRow, FindingRow, Row
from tune_jobs.run_log.outcome import Outcome

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
        *run_sections.render_winner_sections(outcome),
        section("Trials", _trials(outcome)),
        section("Learning curves", *_learning(outcome)),
        *run_sections.render_chart_sections(outcome),
        *run_sections.render_examples(outcome.evaluation),
        *_offered("Choices", shared_sections.list_choice_parts(outcome)),
        *_offered("Loss of each node by interventions", shared_sections.list_node_parts(outcome)),
        *_offered("One episode, step by step", shared_sections.list_episode_parts(outcome)),
        *run_sections.render_video_section(outcome, directory),
        section("Inside the training", _inside(outcome)),
        section("Settings and score", *shared_sections.list_setting_parts(outcome)),
        *_lineage(outcome),
        section("Ledger", *shared_sections.list_ledger_parts(outcome)),
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


def _offered(title: str, parts: Sequence[Part]) -> list[str]:
    """Render a section of what the environment offers; an empty list without parts."""
    return [section(title, *parts)] if parts else []


def _headline(outcome: Outcome) -> str:
    cards = "".join(
        f"<div><span>{escape(card.name)}</span><strong>{escape(card.value)}</strong>"
        f"<small>{escape(card.note)}</small></div>"
        for card in shared_sections.list_cards(outcome)
    )
    about = escape(shared_sections.describe_job(outcome.job))
    return (
        f"<header><h1>{escape(outcome.job.run)}</h1><p>{about}</p>"
        f'{_unfinished(outcome)}<div class="cards">{cards}</div></header>'
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
    rows: list[list[str]] = []
    for trial in outcome.best_first:
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


def _learning(outcome: Outcome) -> list[Part]:
    unscored = [trial.id for trial in outcome.trials if not trial.finite_scores]
    parts: list[Part] = [draw("learning", "", figures.plot_learning_curves(outcome))]
    if unscored:
        note = f"Without a finite score, so not drawn: trial {', '.join(unscored)}."
        parts.append(render_note(note))
    return parts


def _inside(outcome: Outcome) -> str:
    entropy = figures.plot_metric_curves(outcome, "entropy_normalised", "entropy / its maximum")
    gradient = figures.plot_metric_curves(outcome, "grad_norm", "gradient norm", log=True)
    parts = [draw("entropy", "Entropy", entropy), draw("gradient", "Gradient norm", gradient)]
    for part in ("head", "backbone"):
        plot = figures.plot_metric_curves(outcome, f"grad_norm_{part}", "gradient norm", log=True)
        # Not every network has a head of its own.
        if not isinstance(plot, str):
            parts.append(draw(part, f"Gradient norm of the policy's {part}", plot))
    return f'<div class="pair">{"".join(map(render, parts))}</div>'


def _lineage(outcome: Outcome) -> list[str]:
    """Render the lineage of a population; other schedulers copy no trial."""
    if outcome.job.scheduler.get("kind") != "pbt":
        return []
    exploits = sorted((e for t in outcome.trials for e in t.exploits), key=lambda e: e.time)
    rows = [[f"trial {escape(e.trial)}", f"{e.iteration}", escape(e.sentence)] for e in exploits]
    told = table(["trial", "iteration", "exploit"], rows, text=1, sentence=True) if rows else ""
    return [section("Lineage", draw("lineage", "", plot_lineage(outcome)), told)]


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
