"""The report of a run: one HTML page for offline use and printing, built from event rows only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs

from rungwise.formatting import (
    count,
    format_command,
    format_duration,
    format_estimate,
    format_identifier,
    format_number,
    format_percent,
    format_time,
    format_values,
)
from rungwise.health.record import describe_record
from rungwise.run_directory import JOB
from rungwise.run_log.evaluation_status import (
    COMPARED,
    format_episode_count,
    list_remarks,
)
from rungwise.run_log.events import DISPROVED, EvaluationRow, FindingRow, Row
from rungwise.run_log.outcome import Outcome
from rungwise.whole_file import replace_whole
from rungwise.write_errors import warn_of_unwritable
from tune_jobs.jobs.job_yaml import get_file_mode, mask_job_text
from tune_jobs.report import run_sections, shared_sections
from tune_jobs.report.curves import plot_learning_curves, plot_metric_curves
from tune_jobs.report.html_parts import (
    FITTING,
    STYLE,
    Drawing,
    Part,
    draw,
    render,
    render_note,
    section,
    table,
)
from tune_jobs.report.lineage import plot_lineage
from tune_jobs.report.result_score import (
    estimate_training_error,
    label_training_score,
    name_player,
)
from tune_jobs.report.winner_section import WINNER, dump_winner_job, render_winner

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; media-src data:"
)
"""Content security policy: nothing written into the page can send a request to the network.

Plotly compiles what it draws with WebGL (parallel coordinates), which counts as evaluation."""


def write_report(rows: Iterable[Row], job_yaml: str, path: str | Path) -> None:
    """Write the report of a run, finished or not, replacing an older one in one step.

    The settings of the winner go into a job file next to it, if there is a winner.

    Args:
        rows: the event rows of the run.
        job_yaml: the resolved job, shown so that it can be run again.
        path: the HTML file, in the run directory.

    Raises:
        InputError: if there is no job row among the rows.
    """
    # Built before a file is opened: a log that cannot be shown leaves the older report in place.
    path, outcome = Path(path), Outcome.from_rows(rows)
    try:
        winner_yaml = dump_winner_job(job_yaml, outcome)
    except ModuleNotFoundError:  # the settings of an algorithm need torch: an older report has it
        older = path.with_name(WINNER)
        winner_yaml = older.read_text(encoding="utf-8") if older.exists() else ""
    # Reports are passed on; the two files stay whole, as they are run again.
    page = _page(outcome, mask_job_text(job_yaml), mask_job_text(winner_yaml), path.parent)
    if winner_yaml:
        replace_file(path.with_name(WINNER), winner_yaml, get_file_mode(winner_yaml))
    replace_file(path, page)


def try_to_write_report(rows: Iterable[Row], directory: Path) -> None:
    """Write the report of a run into its directory, or warn that it cannot be written.

    Raises:
        InputError: as :func:`write_report`.
    """
    again = format_command("rungwise", "report", directory)
    remedy = (
        f"free some disk space and call `{again}`, or copy the run to a folder where you can write "
        "and call it there"
    )
    job_yaml = (directory / JOB).read_text()
    with warn_of_unwritable(report := directory / "report.html", remedy):
        write_report(rows, job_yaml, report)


def replace_file(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a file with these permissions, replacing an older one in one step."""
    with replace_whole(path) as unfinished:
        unfinished.touch(mode)
        unfinished.write_text(text, encoding="utf-8")


def _page(outcome: Outcome, job_yaml: str, winner_yaml: str, directory: Path) -> str:
    choices = shared_sections.list_choice_parts(outcome)
    recorded = outcome.evaluation is not None
    body = [
        _headline(outcome),
        *render_winner(outcome, winner_yaml, directory),
        section(
            COMPARED,
            render_comparison(outcome.evaluation, outcome.evaluation_failure),
        ),
        *run_sections.render_winner_sections(outcome),
        section("Trials", _trials(outcome)),
        section("Learning curves", *_learning(outcome)),
        *run_sections.render_chart_sections(outcome),
        *run_sections.render_examples(outcome.evaluation),
        *_offered("Choices", [part for part in choices if isinstance(part, Drawing)]),
        *_offered(
            "Loss of each node by interventions",
            shared_sections.list_node_parts(outcome) if recorded else [],
        ),
        *_offered(
            "One episode, step by step",
            shared_sections.list_episode_parts(outcome) if recorded else [],
        ),
        *run_sections.render_video_section(outcome, directory),
        *_offered("Inside the training", _inside(outcome)),
        *_offered(
            "Settings and score",
            shared_sections.list_setting_parts(outcome)
            + shared_sections.list_coordinate_parts(outcome),
        ),
        *_lineage(outcome),
        section("Ledger", *shared_sections.list_ledger_parts(outcome)),
        section("Findings", render_findings(outcome.findings), render_siblings(outcome.siblings)),
        section("How it was made", *_provenance(outcome, job_yaml)),
    ]
    return make_page(outcome.job.run, "".join(body))


def make_page(title: str, body: str, script: str | None = None) -> str:
    """Return a page that holds everything it needs.

    Args:
        title: plain text.
        body: HTML.
        script: JavaScript that runs at its end, of a page without plots; None for that of plots.
    """
    library = get_plotlyjs() if script is None else ""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>{STYLE}</style>
<script>{library}</script>
</head><body>
{body}<script>{FITTING if script is None else script}</script>
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
        f"{_unfinished(outcome)}{_observed(outcome)}"
        f'<div class="cards">{cards}</div></header>'
    )


def _observed(outcome: Outcome) -> str:
    text = outcome.observed_text
    return f'<p class="notice">{escape(text)}</p>' if text else ""


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
    rest = count(outcome.iterations_open, "iteration")
    return f'<p class="notice">{sentence} Of its budget {rest} are neither run nor saved.</p>'


def render_comparison(evaluation: EvaluationRow | None, failure: str = "") -> str:
    """Render the checkpoint and the baselines on the same seeds."""
    if evaluation is None:
        none = "The best trial has not been compared with random and simple rules"
        return render_note(f"{none}: {failure}" if failure else f"{none}.")
    names, errors = list(evaluation.policy), evaluation.standard_errors
    rows: list[list[str]] = []
    for player, values in ({"policy": evaluation.policy} | evaluation.baselines).items():
        head = escape(name_player(player, evaluation.trial))
        head = f"<b>{head}</b>" if player in ("policy", "greedy") else head
        error = errors.get(player, {})
        rows.append([head, *(format_estimate(values.get(n), error.get(n)) for n in names)])
    note = f"{format_episode_count(evaluation, 'episode')} each, from seed {evaluation.seed}"
    note += "; ± is a standard error." if any(errors.values()) else "."
    if evaluation.better_than_random is not None:
        note += (
            f" Better than random on {format_percent(evaluation.better_than_random)} of the seeds."
        )
    remarks = list_remarks(
        evaluation.policy,
        evaluation.baselines,
        evaluation.episodes,
        evaluation.cut_off,
        evaluation.better_than_random,
        evaluation.better_than_greedy,
    )
    note = " ".join([note, *remarks])
    return (
        table(["policy", *map(format_identifier, names)], rows, text=1) + f"<p>{escape(note)}</p>"
    )


def _trials(outcome: Outcome) -> str:
    job, best = outcome.job, outcome.best
    node = ["node"] if any(trial.node for trial in outcome.trials) else []
    head = [
        *("trial", label_training_score(outcome), "iterations", "env steps", "time"),
        *(*node, *job.searched, "how it ended"),
    ]
    rows: list[list[str]] = []
    errors = {trial.id: estimate_training_error(trial) for trial in outcome.trials}
    for trial in outcome.best_first:
        settings = [escape(format_number(trial.config.get(name))) for name in job.searched]
        strong = "<b>{}</b>" if trial is best else "{}"
        iterations = f"{trial.iterations}" + (f" of {trial.budget}" if trial.budget else "")
        score = strong.format(format_estimate(trial.score, errors[trial.id]))
        spent = [f"{trial.env_steps:,}", format_duration(trial.seconds)]
        spent += [escape(trial.node)] if node else []
        ending = escape(trial.full_status_text)
        name = strong.format(escape(trial.id + (", the winner" if trial is best else "")))
        rows.append([name, score, iterations, *spent, *settings, ending])
    note = (
        f"The training score is that of the last iteration, of a policy that explores and still "
        f"learns; {'higher' if job.mode == 'max' else 'lower'} is better."
    )
    if any(error is not None for error in errors.values()):
        note += " ± is a standard error over its episodes" + (
            " and seeds." if job.seeds > 1 else "."
        )
    undrawn = job.trials - len(outcome.trials)
    note += f" {count(undrawn, 'trial')} not drawn yet." if undrawn > 0 else ""
    return table(head, rows, text=1, sentence=True) + render_note(note)


def _learning(outcome: Outcome) -> list[Part]:
    unscored = [trial.id for trial in outcome.trials if not trial.finite_scores]
    parts: list[Part] = [draw("learning", "", plot_learning_curves(outcome))]
    if unscored:
        note = f"Without a finite score, so not drawn: trial {', '.join(unscored)}."
        parts.append(render_note(note))
    return parts


def _inside(outcome: Outcome) -> list[Part]:
    plots = {
        "Entropy": plot_metric_curves(
            outcome, "entropy_normalised", "entropy, share of its maximum"
        )
    }
    for title, name in (
        ("Gradient norm", "grad_norm"),
        # Some networks have no head of their own.
        ("Gradient norm of the policy's head", "grad_norm_head"),
        ("Gradient norm of the policy's backbone", "grad_norm_backbone"),
    ):
        plots[title] = plot_metric_curves(outcome, name, "gradient norm", log=True)
    parts = [
        draw(f"inside-{i}", title, plot)
        for i, (title, plot) in enumerate(plots.items())
        if not isinstance(plot, str)
    ]
    return [f'<div class="pair">{"".join(map(render, parts))}</div>'] if parts else []


def _lineage(outcome: Outcome) -> list[str]:
    """Render the lineage of a population; other schedulers copy no trial."""
    if outcome.job.scheduler.get("kind") != "pbt":
        return []
    exploits = sorted((e for t in outcome.trials for e in t.exploits), key=lambda e: e.time)
    rows = [[f"trial {escape(e.trial)}", f"{e.iteration}", escape(e.sentence)] for e in exploits]
    told = table(["trial", "iteration", "exploit"], rows, text=1, sentence=True) if rows else ""
    return [section("Lineage", draw("lineage", "", plot_lineage(outcome)), told)]


def render_findings(findings: Sequence[FindingRow]) -> str:
    """Render the findings, or that there is none."""
    if not findings:
        return render_note("The health rules found nothing.")
    return f'<ol class="findings">{"".join(map(_finding, findings))}</ol>'


def _finding(row: FindingRow) -> str:
    said = [row.evidence, describe_record(row.symptom, row.severity), row.siblings, row.remedy]
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


def render_siblings(siblings: Mapping[str, str]) -> str:
    """Render what each symptom points at, by the trials that have it."""
    if not siblings:
        return ""
    rows = [
        [escape(format_identifier(symptom)), escape(said)] for symptom, said in siblings.items()
    ]
    return "<h3>Compared between the trials</h3>" + table([], rows, text=1, sentence=True)


def _provenance(outcome: Outcome, job_yaml: str) -> list[str]:
    job, machine = outcome.job, outcome.job.machine
    seeds = f"job {job.seed}"
    if outcome.evaluation is not None:
        seeds += f", evaluation from {outcome.evaluation.seed}"
    if outcome.won is not None:
        seeds += f", finals from {outcome.won.seed}"
    trained = sum(trial.seconds for trial in outcome.trials)
    held = (
        f"{format_duration(trained * job.cpus_per_trial)} ({format_duration(trained)} of training "
        f"by trials that hold {format_number(job.cpus_per_trial)} CPUs)"
    )
    rows = {
        "started": format_time(job.time),
        "wall time": format_duration(shared_sections.measure_wall_time(outcome)),
        "CPU time": held,
        "GPUs of each trial": format_number(job.gpus_per_trial) if job.gpus_per_trial else "none",
        "seeds": seeds,
        # A log of an earlier version says neither.
        "commit of the code": job.commit or ("none: no git checkout" if machine else ""),
        "host": machine.get("host", ""),
        "CPU": machine.get("cpu", ""),
        "GPU": machine.get("gpu", ""),
        "versions": ", ".join(f"{name} {version}" for name, version in job.versions.items()),
        "resumed": "yes, from its last checkpoints" if job.resumed else "",
    }
    rows |= {
        f"not default: {format_identifier(part)}": format_values(values)
        for part, values in job.changes.items()
    }
    cells = [[escape(name), escape(text)] for name, text in rows.items() if text]
    details = f"<details><summary>The resolved job</summary><pre>{escape(job_yaml)}</pre></details>"
    return [table([], cells, text=2, sentence=True), details]
