"""The sections of the report that the page shows in its tabs, and the ends of its logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cluster.dashboard.run_view import RunView
from cluster.queue.orders import DRIVER_LOG
from rungwise.formatting import count, format_identifier, format_number, format_values
from rungwise.run_log.evaluation_status import COMPARED
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import TrialOutcome
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import mask_job_text
from tune_jobs.report import report, run_sections, shared_sections, winner_section
from tune_jobs.report.html_parts import Part, render_note, section, table
from tune_jobs.report.trial_job import (
    UNUSABLE,
    TrialSetting,
    dump_trial_job,
    list_trial_settings,
    read_run_job,
)

LOG_BYTES = 20_000
"""Bytes at the end of a log that are shown."""
MOST_LOGS = 40


def _build_settings(view: RunView) -> list[Part]:
    outcome = _require_outcome(view)
    parts = shared_sections.list_setting_parts(outcome)
    parts += shared_sections.list_coordinate_parts(outcome)
    return parts or [
        render_note("There is no setting in which several trials with a score differ.")
    ]


def _build_ledger(view: RunView) -> list[Part]:
    return shared_sections.list_ledger_parts(_require_outcome(view))


def _build_result(view: RunView) -> list[Part]:
    best = _require_outcome(view).best
    # Only the best trial gets all stored results, for its choices over time: each of them is read
    # from the log.
    outcome = view.build_outcome(full_trial=best.id if best else "")
    comparison = report.render_comparison(outcome.evaluation, outcome.evaluation_failure)
    return [
        section(COMPARED, comparison),
        *_build_winner(outcome, view.directory),
        *run_sections.render_winner_sections(outcome),
        *shared_sections.list_choice_parts(outcome),
        *shared_sections.list_node_parts(outcome),
        *shared_sections.list_episode_parts(outcome),
        *run_sections.render_video_section(outcome, view.directory),
    ]


def _build_winner(outcome: Outcome, directory: Path) -> list[str]:
    """Build how the winner is loaded and taken on; empty where the job's file is gone."""
    try:
        job_yaml = (directory / "job.yaml").read_text()
    except OSError:
        return []
    return winner_section.render_winner(
        outcome, mask_job_text(winner_section.dump_winner_job(job_yaml, outcome)), directory
    )


PART_BUILDERS: dict[str, Callable[[RunView], list[Part]]] = {
    "settings": _build_settings,
    "result": _build_result,
    "ledger": _build_ledger,
}
"""Builder of each tab by its name."""


def _require_outcome(view: RunView) -> Outcome:
    return view.outcome or view.build_outcome()


def read_log_texts(directory: Path, trial: str = "") -> dict[str, str]:
    """Return the ends of the logs in a run directory, or only of a trial, by their paths in it."""
    programs, trials = directory.glob("programs/*/*.log"), directory.glob("trials/**/*.log")
    paths = [directory / DRIVER_LOG, *sorted(programs), *sorted(trials)]
    paths = [path for path in paths if trial in ("", *path.relative_to(directory).parts)]
    texts: dict[str, str] = {}
    for path in paths[:MOST_LOGS]:
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - LOG_BYTES))
                texts[str(path.relative_to(directory))] = file.read().decode(errors="replace")
    return texts


def build_trial_parts(trial: TrialOutcome, directory: Path) -> list[str]:
    """Build the settings, findings and checkpoints of a trial as HTML."""
    checkpoints = [
        [f"{row.iteration}", escape(row.path), "yes" if row.path == trial.checkpoint else ""]
        for row in trial.checkpoints
        if (directory / row.path).is_dir()
    ]
    parts = [section("Settings", *_build_trial_settings(trial, read_run_job(directory)))]
    parts.append(section("Findings", report.render_findings(trial.findings)))
    if checkpoints:
        head = ["iteration", "path", "its result"]
        parts.append(section("Checkpoints", table(head, checkpoints, text=3)))
    return parts


def _build_trial_settings(trial: TrialOutcome, job: Job | None) -> list[str]:
    """Build the settings next to their defaults: those that differ or were searched first."""
    try:
        settings = list_trial_settings(job, trial.config) if job else None
    except UNUSABLE:
        settings = None
    if settings is None:  # the log has what differs from the defaults
        changes = trial.job.changes.items()
        known = trial.config | {f"not default: {part}": format_values(v) for part, v in changes}
        rows = [[escape(format_identifier(n)), escape(format_number(v))] for n, v in known.items()]
        return [table(["setting", "value"], rows, text=2, sentence=True)]
    first = [one for one in settings if one.differs or one.is_searched]
    rest = [one for one in settings if not (one.differs or one.is_searched)]
    summary = f"{count(len(rest), 'other setting')} with the default value"
    return [
        _render_settings(first) if first else render_note("All settings have their defaults."),
        f"<details><summary>{escape(summary)}</summary>{_render_settings(rest)}</details>",
    ]


def _render_settings(settings: Sequence[TrialSetting]) -> str:
    rows = [
        [
            escape(format_identifier(one.name)),
            escape(format_number(one.value)),
            escape(format_number(one.default)),
            "yes" if one.is_searched else "",
        ]
        for one in settings
    ]
    return table(["setting", "value", "default", "searched"], rows, text=4)


def dump_trial_settings(directory: Path, config: Mapping[str, Any]) -> str:
    """Return the settings of a trial as a job file; empty where the job's file is gone."""
    job = read_run_job(directory)
    return mask_job_text(dump_trial_job(job, config)) if job else ""
