"""Format numbers, fractions, durations and end reasons alike in every output."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

REASONS = {
    "budget": "full budget",
    "asha": "ASHA",
    "health": "health",
    "target": "target reached",
    "plateau": "plateau",
    "error": "error",
    "interrupted": "interrupted",
}
"""End reason of a trial to its heading."""
ROUNDED_UP = 999.5
"""From here on three digits are those of 1,000."""
MANY_NAMES = 8
"""Names with the same value up to which each is written."""


def format_end_reason(name: str) -> str:
    """Return the heading of an end reason; an unknown reason with its underscores replaced."""
    return REASONS.get(name, name.replace("_", " "))


def format_identifier(name: str) -> str:
    """Return an identifier as words: ``excess_risk`` becomes ``excess risk``."""
    return name.replace("_", " ")


def format_number(value: object) -> str:
    """Format a setting or a figure with three significant digits: 0.071, 8.1e-4, 1,240."""
    if value is None:
        return "-"
    # bool before int, of which it is a subclass.
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _decimal(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(format_number, value))
    return str(value)


def format_measurement(value: float | None) -> str:
    """Format a measured figure with trailing zeros, so that columns line up: 0.0800."""
    # "#" keeps trailing zeros, but also a bare point (123.), which is removed.
    if value is None or not 0.001 <= abs(value) < ROUNDED_UP:
        return format_number(value if value is None else value + 0.0)  # -0 is 0
    return f"{value:#.3g}".removesuffix(".")


def format_estimate(value: float | None, error: float | None) -> str:
    """Format a measured figure with its standard error, if it has one: -83.2 ± 1.20."""
    figure = format_measurement(value)
    return figure if error is None else f"{figure} ± {format_measurement(error)}"


def format_percent(share: float) -> str:
    """Format a fraction from 0 to 1 as a percentage: 73 %."""
    return f"{100 * share:.0f} %" if math.isfinite(share) else "-"


def format_duration(seconds: float) -> str:
    """Format a time span in s, min or h: 50 s, 4 min, 2 h 10 min."""
    if not math.isfinite(seconds):
        return "-"
    # A unit is used up to 100 of it, where the next one has at most two digits after rounding.
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60:,} h {minutes % 60} min"


def format_time(seconds: float) -> str:
    """Format a moment, in seconds since 1970, by the local clock: 2026-11-25 13:40 UTC+1."""
    moment = datetime.fromtimestamp(seconds).astimezone()
    offset = moment.strftime("%z")  # +0100
    hours, minutes = f"{offset[:1]}{int(offset[1:3])}", offset[3:5]
    zone = "" if offset == "+0000" else hours + (f":{minutes}" if minutes != "00" else "")
    return f"{moment:%Y-%m-%d %H:%M} UTC{zone}"


def count(amount: int, noun: str, nouns: str = "") -> str:
    """Format an amount with its noun: 1 trial, 12 trials; ``nouns`` is an irregular plural."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {nouns or noun + 's'}"


def format_names(names: Sequence[str], most: int = 12) -> str:
    """Format the first names of many: ``a, b, ...``."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def format_values(values: Mapping[str, Any]) -> str:
    """Return names and values as text; a value that many of them share is written once."""
    names_by_text: dict[str, list[str]] = {}
    for name, value in values.items():
        names_by_text.setdefault(_format_change(value), []).append(name)
    # `--quick` has nearly all rules only warn.
    many = {text: len(names) for text, names in names_by_text.items() if len(names) > MANY_NAMES}
    parts = [f"{text} for {number} of them" for text, number in many.items()]
    texts = ((name, _format_change(value)) for name, value in values.items())
    return ", ".join([*parts, *(f"{name} {text}" for name, text in texts if text not in many)])


def format_command(*words: str | Path) -> str:
    """Format a command for a shell: a path with spaces stays one word."""
    return shlex.join(map(str, words))


def first_sentence(error: Exception) -> str:
    """Return the first sentence of another library's error, at most 300 characters."""
    # Such messages go on with stack frames, links and hints that mislead in our commands.
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return line.partition(". ")[0].rstrip(".:")[:300] or type(error).__name__


def _decimal(value: float) -> str:
    if not math.isfinite(value):
        return "not finite"
    if value == 0 or 0.001 <= abs(value) < ROUNDED_UP:
        return f"{value:.3g}"
    if 1 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    # Python writes 8.10e-04: shorten both parts.
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _format_change(value: object) -> str:
    """Return a changed value as text, as exactly as a flag would state it."""
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return " ".join(f"{name} {_format_change(part)}" for name, part in items)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_format_change, cast('list[Any]', value)))}]"
    return str(value)
