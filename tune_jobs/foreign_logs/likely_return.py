"""Guess which column of an unknown log is a return: by its name, then by its values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from tune_jobs.health.improvement import FloatArray, keep_finite, kendall_tau

_RETURN = re.compile(r"return|reward|score|fitness|(?<![a-z])(ep_?)?(rew|ret)(?![a-z])")
"""Names of a return in other tools."""
_GAIN = re.compile(r"profit|payoff|payout|revenue|utility|performance|gain|points|pnl|success|win")
"""Names of quantities that a task may reward."""
_OTHER = re.compile(
    r"loss|entropy|grad|norm|advantage|value|discount|deviation"
    r"|(?<![a-z])(kl|lr|std|var|min|max|len|num|fps)"
    r"(?![a-z])|rate|length|step|time|clock|epoch|iter|seed|count"
)
"""Names of other logged quantities, such as the spread and the extremes of a return."""


def rank_likely_returns(columns: Mapping[str, FloatArray]) -> list[str]:
    """Return the columns, the one that looks most like a return first.

    Args:
        columns: name to its values [R], NaN where a row has none; equals keep their order.
    """
    return sorted(columns, key=lambda name: (_named(name), *_shaped(columns[name])), reverse=True)


def guess_return(names: Iterable[str]) -> str:
    """Return the name that looks most like a return; empty where none may be one."""
    return max(filter(may_be_return, names), key=_named, default="")


def is_return(name: str) -> bool:
    """Return whether a name is that of a return, or of what a task may reward."""
    return bool(name) and _named(name) > 0


def may_be_return(name: str) -> bool:
    """Return whether a name says nothing against a return."""
    return bool(name) and _named(name) >= 0


def _named(name: str) -> int:
    """Score a name from -1 (something else) to 2 (a return)."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()
    if _OTHER.search(words):
        return -1
    return 2 if _RETURN.search(words) else 1 if _GAIN.search(words) else 0


def _shaped(values: FloatArray) -> tuple[int, float]:
    """Score how much values [R] look like a return: noise that may rise, no clock or constant."""
    known = keep_finite(values)
    if known.size < 2 or np.ptp(known) == 0:
        return 0, 0.0
    trend = kendall_tau(known)
    # A clock, a count and a schedule never turn back; of noise that is improbable beyond few rows.
    return (1 if abs(trend) == 1 else 2), trend
