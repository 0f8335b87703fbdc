"""Logarithmic axes with labels that are read at once: 0.05, 0.1, 0.2."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from typing import Any

import plotly.graph_objects as go

from rungwise.formatting import format_number

FEWEST_TICKS, MOST_TICKS = 3, 8


def choose_log_ticks(low: float, high: float) -> list[float]:
    """Return the values between two positive ones that a logarithmic axis labels.

    1, 2 and 5 of each decade; powers of ten alone over many, and more digits over less than one.

    >>> choose_log_ticks(0.04, 0.9)
    [0.05, 0.1, 0.2, 0.5]
    >>> choose_log_ticks(2e-6, 30.0)
    [1e-05, 0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks: list[float] = []
    for digits in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, *range(2, 10))):
        more = [float(f"{d}e{power}") for power in range(first, last + 1) for d in digits]
        more = [tick for tick in more if low <= tick <= high]
        if len(more) > MOST_TICKS and ticks:
            break
        ticks = more
        if len(ticks) >= FEWEST_TICKS and len(digits) > 1:
            break
    ticks = ticks[:: math.ceil(len(ticks) / MOST_TICKS) or 1]
    return ticks if len(ticks) > 1 else sorted({low, *ticks, high})


def set_log_axis(figure: go.Figure, values: Iterable[float], axis: str = "y", **panel: Any) -> None:
    """Make an axis of a figure logarithmic over positive values, with labels of its own.

    Args:
        figure: the figure.
        values: all that is drawn along the axis.
        axis: ``x`` or ``y``.
        panel: ``row`` and ``col`` of a figure with several panels.
    """
    drawn = list(values)
    low, high = min(drawn), max(drawn)
    # A flat line lies in the middle of an axis that shows where it lies.
    low, high = (low / 1.5, high * 1.5) if high < 1.2 * low else (low / 1.12, high * 1.12)
    ticks = choose_log_ticks(low, high)
    update = figure.update_yaxes if axis == "y" else figure.update_xaxes
    update(
        type="log",
        range=[math.log10(low), math.log10(high)],
        tickvals=ticks,
        ticktext=[escape(format_number(tick)) for tick in ticks],
        **panel,
    )
