"""The parts of a report about how its winner was chosen."""

from __future__ import annotations

from html import escape

from tune_jobs.formatting import count, format_estimate, format_identifier, format_measurement
from tune_jobs.report.html_parts import render_note, section, table
from tune_jobs.run_log.outcome import Outcome, average_settled_score


def render_winner_sections(outcome: Outcome) -> list[str]:
    """Return the trials that repeat the best settings, if any, and the finals."""
    return [*_repeats(outcome), section("The best few on fresh seeds", *_finals(outcome))]


def _repeats(outcome: Outcome) -> list[str]:
    if not outcome.repeated:
        return []
    rows = [
        [
            f"{'<b>best</b> ' if place == 0 else ''}those of trial {escape(pair[0].id)}",
            *(format_measurement(trial.settled_score) for trial in pair),
            format_measurement(average_settled_score(pair)),
        ]
        for place, pair in enumerate(outcome.repeated)
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
        reasons = "there was one trial, the job asked for none, or steps allowed too few episodes"
        return [render_note(f"No finals: {reasons}.")]
    trained = {trial.id: trial.score for trial in outcome.trials}
    sign = -1 if outcome.finals[-1].mode == "max" else 1
    rows = [
        [
            f"{'<b>winner</b> ' if place == 0 else ''}trial {escape(row.trial)}",
            format_estimate(row.score, row.error),
            format_measurement(trained.get(row.trial)),
        ]
        for place, row in enumerate(sorted(outcome.finals, key=lambda f: sign * (f.score or 0.0)))
    ]
    last = outcome.finals[-1]
    note = f"{count(last.episodes, 'episode')} each, from seed {last.seed}; ± is a standard error."
    head = [
        "policy",
        format_identifier(last.metric),
        f"{format_identifier(outcome.job.metric)} in training",
    ]
    return [table(head, rows, text=1), render_note(note)]
