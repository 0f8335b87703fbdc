"""Event rows as lines of text: what `tune` prints without a terminal, and what `tail` prints."""

from __future__ import annotations

from dataclasses import replace

from cluster.terminal.trial_table import format_finding
from cluster.terminal.widgets import draw_bar
from rungwise.formatting import count, format_estimate, format_identifier, format_measurement
from rungwise.run_log.events import (
    DISPROVED,
    DecisionRow,
    EndRow,
    EvaluationRow,
    ExploitRow,
    FinalRow,
    FindingRow,
    JobRow,
    LogRow,
    ObservedEndRow,
    ResultRow,
    Row,
)
from rungwise.run_log.outcome import OutcomeBuilder
from rungwise.run_log.trial_outcome import TrialOutcome

RESULT_INTERVAL_S = 1.0
"""Seconds between two lines of results of one trial."""


def shorten_result(row: Row) -> Row:
    """Return a row without the metrics, which would fill the memory; no table shows them.

    Those of iteration 0, the progress of what precedes training, stay.
    """
    return replace(row, metrics={}) if isinstance(row, ResultRow) and row.iteration else row


def format_row(row: Row, builder: OutcomeBuilder) -> list[str]:
    """Format what each display prints at once: ends, warnings, and found logs of programs.

    Args:
        row: the row, which the builder has taken.
        builder: the outcome so far.
    """
    match row:
        case EndRow():
            trial = builder.build_trial_outcome(row.trial)
            lines = [f"{_format_progress(trial)} {trial.status_text}"]
            # Seen in the last iteration only, a stop ends nothing and is not the trial's end.
            findings = trial.findings if trial.end_reason != "health" else ()
            stops = (f for f in findings if f.severity == "stop" and not f.withdrawn)
            return [*lines, *map(_format_finding_row, stops)]
        case ObservedEndRow():
            progress = _format_progress(builder.build_trial_outcome(row.trial))
            return [f"{progress} would have been ended: {row.sentence}"]
        case FindingRow(severity="warn"):  # a stop is printed as an end
            return [_format_finding_row(row)]
        case LogRow():
            others = f"; {count(len(row.others), 'other log')} not" if row.others else ""
            return [f"trial {row.trial} is followed in {row.path} ({row.format}){others}"]
        case _:
            return []


class EventLines:
    """Lines for every kind of event, with at most one line of results a second of each trial."""

    def __init__(self) -> None:
        self._shown_at: dict[str, float] = {}

    def format(self, row: Row, builder: OutcomeBuilder) -> list[str]:
        """Format a row that the builder has taken; an empty list for what is not shown."""
        match row:
            case JobRow():
                return [format_job(row)]
            case ResultRow():
                if row.time - self._shown_at.get(row.trial, 0.0) < RESULT_INTERVAL_S:
                    return []
                self._shown_at[row.trial] = row.time
                trial = builder.build_trial_outcome(row.trial)
                return [f"{_format_progress(trial)} {trial.status_text}"]
            case DecisionRow(keep=True):  # any other is printed as an end
                return [f"trial {row.trial} {row.sentence}"]
            case ExploitRow():
                return [f"trial {row.trial} {row.sentence}"]
            case FindingRow(severity="note"):
                return [_format_finding_row(row)]
            case FinalRow():
                score = f"{format_identifier(row.metric)} {format_estimate(row.score, row.error)}"
                played = count(row.episodes, "fresh episode")
                return [f"trial {row.trial} final: {score} on {played}"]
            case EvaluationRow():
                played = count(row.episodes, "fresh episode")
                result = row.failure or f"compared with others on {played}"
                return [f"trial {row.trial} evaluated: {result}"]
            case _:
                return format_row(row, builder)


def format_job(row: JobRow) -> str:
    """Format the start of a run, or of its continuation."""
    begun = "resumed" if row.resumed else "started"
    begun += f" and extended ({row.extension})" if row.extension else ""
    size = f"{count(row.trials, 'trial')}, at most {row.iterations} iterations each"
    return f"{row.run} {begun}: {row.env.split(':')[-1]}, {row.algo}, {size}"


def _format_progress(trial: TrialOutcome) -> str:
    score = f"{format_identifier(trial.job.metric)} {format_measurement(trial.score)}"
    return f"trial {trial.id} {draw_bar(trial.iterations, trial.budget, 0)} {score}"


def _format_finding_row(row: FindingRow) -> str:
    trial = f"trial {row.trial}"
    if row.withdrawn:
        return f"{trial} {format_identifier(row.symptom)} withdrawn: {DISPROVED}"
    return f"{trial} {format_finding(row)}: {row.evidence}"
