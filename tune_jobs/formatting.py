"""Numbers, shares, durations and reasons as people read them, the same on every page."""

from __future__ import annotations

import math
from typing import Any

REASONS = {
    "budget": "full budget",
    "asha": "ASHA",
    "health": "health",
    "target": "target reached",
    "plateau": "plateau",
    "error": "error",
    "interrupted": "interrupted",
}
"""Why a trial ended, as a heading."""


def format_end_reason(name: str) -> str:
    """The heading of an end reason; one that is not known stands for itself."""
    return REASONS.get(name, name.replace("_", " "))


def format_identifier(name: str) -> str:
    """An identifier as words: ``excess_risk`` becomes ``excess risk``."""
    return name.replace("_", " ")


def format_number(value: Any) -> str:
    """A setting or a figure with three digits: 0.071, 8.1e-4, 1,240."""
    if value is None:
        return "-"
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
    """A measured figure, always with three digits, so that a column of them lines up: 0.0800."""
    if value is None or not math.isfinite(value) or value == 0 or not 0.001 <= abs(value) < 1000:
        return format_number(value if value is None else float(value))
    return f"{value:#.3g}".removesuffix(".")


def format_percent(share: float) -> str:
    """A share from 0 to 1: 73 %."""
    return f"{100 * share:.0f} %" if math.isfinite(share) else "-"


def format_duration(seconds: float) -> str:
    """A time span in the unit that suits it: 50 s, 4 min, 2 h 10 min."""
    if not math.isfinite(seconds):
        return "-"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60:,} h {minutes % 60} min"


def count(amount: int, noun: str, nouns: str = "") -> str:
    """An amount with its noun: 1 trial, 12 trials; ``nouns`` is a plural that is no -s."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {nouns or noun + 's'}"


def first_sentence(error: Exception) -> str:
    """Return the first sentence of an error that was not written for our users."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return line.partition(". ")[0].rstrip(".:")[:300] or type(error).__name__


def _decimal(value: float) -> str:
    if not math.isfinite(value):
        return "not finite"
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.3g}"
    if 1000 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
