"""Parts of the terminal's table: bars, sparklines, the summary line, the time left."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.formatting import format_duration, format_measurement, format_number, format_percent
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import TrialOutcome

SPARKS = "▁▂▃▄▅▆▇█"
MAX_SETTINGS = 4
MAX_WIDTH = 14
"""Width of a setting's column, at most."""


def draw_bar(done: int, full: int, width: int) -> str:
    """Draw a bar with its numbers: ``▇▇▇▁▁ 16/27``; with width 0 the numbers only.

    Of a budget that is not known (0) there is no bar.
    """
    if not full:
        return str(done)
    filled = min(width, round(width * done / full))
    numbers = f"{done:>{len(str(full))}}/{full}"
    return f"{'▇' * filled}{'▁' * (width - filled)} {numbers}" if width else numbers


def draw_sparkline(values: Sequence[float], width: int) -> str:
    """Draw finite values with at most ``width`` characters, the first and last included."""
    if not values:
        return ""
    last = len(values) - 1
    if len(values) > width:
        values = [values[round(last * i / (width - 1))] for i in range(width)]
    low, high = min(values), max(values)
    # The difference of two huge numbers can overflow, that of their halves cannot.
    half = high / 2 - low / 2
    if not half:
        return SPARKS[3] * len(values)
    top = len(SPARKS) - 1
    return "".join(SPARKS[round(top * ((value / 2 - low / 2) / half))] for value in values)


def shorten_name(name: str) -> str:
    """Return the last part of a dotted name: ``lr`` of ``algo.lr``."""
    return name.rsplit(".", 1)[-1]


def join_lines(text: str) -> str:
    """Return the text without line breaks, which exceptions may contain."""
    return " ".join(text.split()) if "\n" in text or "\r" in text else text


def choose_settings(
    searched: Sequence[str], trials: Sequence[TrialOutcome], width: int
) -> list[str]:
    """Choose the searched settings that fit into a width: in order, at most four."""
    shown: list[str] = []
    for name in searched:
        cells = [shorten_name(name), *(format_number(trial.config.get(name)) for trial in trials)]
        needed = min(MAX_WIDTH, max(map(len, cells))) + 2
        if needed <= width and len(shown) < MAX_SETTINGS:
            shown.append(name)
            width -= needed
    return shown


def summarise_outcome(outcome: Outcome, seconds_left: float | None) -> str:
    """Summarise the sweep in one line."""
    ended = sum(trial.end_reason is not None for trial in outcome.trials)
    parts = [f"{ended} of {max(outcome.job.trials, len(outcome.trials))} ended"]
    best = outcome.best
    if best is not None:
        parts.append(f"best {format_measurement(outcome.best_score)} (trial {best.id})")
    parts.append(f"compute saved {format_percent(outcome.compute_saved)}")
    if seconds_left is not None:
        parts.append(f"about {format_duration(seconds_left)} left")
    return " · ".join(parts)


def estimate_seconds_left(outcome: Outcome, done: int, seconds: float) -> float | None:
    """Estimate the time left at the pace so far; None while fewer than three trials have ended.

    A trial is assumed to run as long as the average of those that ended; one that has already run
    longer is assumed to use its full budget.

    Args:
        outcome: the run so far.
        done: iterations run since this start.
        seconds: time since this start.
    """
    ended = [trial.iterations for trial in outcome.trials if trial.end_reason is not None]
    if len(ended) < 3 or done < 1 or seconds <= 0:
        return None
    usual = sum(ended) / len(ended)
    running = [trial for trial in outcome.trials if trial.end_reason is None]
    iterations = sum(
        usual - trial.iterations if trial.iterations < usual else trial.iterations_not_run
        for trial in running
    )
    iterations += usual * max(0, outcome.job.trials - len(outcome.trials))
    return iterations * seconds / done
