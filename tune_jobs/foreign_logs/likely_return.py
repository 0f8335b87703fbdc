"""Guess which column of an unknown log is a return: by its name, then by its values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from tune_jobs.health.improvement import FloatArray, keep_finite, kendall_tau

_RETURN = re.compile(r"return|reward|score|fitness|(?<![a-z])(ep_?)?(rew|ret)(?![a-z])")
"""Names of a return in other tools."""
_GAIN = re.compile(r"profit|payoff|payout|revenue|utility|performance|gain|points|pnl|success|win")
"""Names of quantities that a task may reward."""
_OTHER = re.compile(
    r"loss|entropy|grad|norm|advantage|value|(?<!un)discount|deviation|median|best|target|thresh"
    r"|intrinsic|bonus|penalty|shap(?:ed|ing)|scale|weight|coef|buffer|baseline|error|quantile"
    r"|(?<![a-z])(kl|lr|std|var|min|max|len|num|fps|high|low|iqr|sem|ci|stderr|stdev)"
    r"(?![a-z])|rate|length|step|time|clock|epoch|iter|seed|(?<!dis)count"
)
"""Names of other logged quantities, such as the spread and the extremes of a return."""
_EVALUATION = re.compile(r"(?<![a-z])(?:eval\w*?|test\w*?|val|valid|validation|held_?out)(?![a-z])")
_KINDS = (("return", "returns", "ret"), ("reward", "rewards", "rew"), ("score", "scores"))
"""Words for a return, the clearest first."""
_PLAIN = {
    *("ep", "eps", "episode", "episodes", "episodic", "mean", "avg", "average", "total", "sum"),
    *("cumulative", "cum", "acc", "accumulated", "undiscounted", "train", "training", "rollout"),
    *("rollouts", "env", "environment", "chart", "charts", "collect", "exploration", "agent"),
    *("eval", "evaluation", "evaluator", "test", "testing", "val", "validation", "stats", "stat"),
    *("metrics", "perf", "performance", "per", "info", "final", "raw", "extrinsic"),
}
"""Words that do not make a return something else."""


def rank_likely_returns(columns: Mapping[str, FloatArray]) -> list[str]:
    """Return the columns, the one that looks most like a return first.

    Args:
        columns: name to its values [R], NaN where a row has none; equals keep their order.
    """
    return sorted(columns, key=lambda name: (_named(name), *_shaped(columns[name])), reverse=True)


def advise_rename(likely: str) -> str:
    """Return a sentence on how to say which column is the return.

    Args:
        likely: the name that looks most like one; empty where none may be one.
    """
    if likely:
        return f"Say which one is the return with --rename '{likely}=return_mean'."
    return (
        "If one of them is the return, give --rename its name, an equals sign and return_mean; if "
        "none is, log the mean return of the episodes."
    )


def find_likely_return(names: Iterable[str]) -> str:
    """Return the name that looks most like a return; empty where none may be one."""
    return max(filter(may_be_return, names), key=_named, default="")


@lru_cache(maxsize=1 << 14)
def is_evaluation(name: str) -> bool:
    """Return whether a name is that of an evaluation, and not of the training."""
    return _EVALUATION.search(_separate(name)) is not None


@lru_cache(maxsize=1 << 14)
def rank_return_name(name: str) -> tuple[bool, bool, int] | None:
    """Return the rank of a return's name, the clearest first; None for any other name.

    Of the training before an evaluation, of known words only before others, a return before a
    reward before a score.
    """
    if _named(name) < 2 or name.startswith("config/"):
        return None
    words = re.findall(r"[a-z]+", _separate(name))
    kinds = [kind for kind, names in enumerate(_KINDS) if not set(names).isdisjoint(words)]
    if set(words) - _PLAIN - {word for kind in _KINDS for word in kind}:
        return is_evaluation(name), True, 0
    return is_evaluation(name), False, min(kinds, default=len(_KINDS))


def is_return(name: str) -> bool:
    """Return whether a name is that of a return, or of what a task may reward."""
    return bool(name) and _named(name) > 0


def may_be_return(name: str) -> bool:
    """Return whether a name says nothing against a return."""
    # What ends with an equals sign is a line for Excel (``sep=,``).
    return bool(name.strip()) and not name.endswith("=") and _named(name) >= 0


def _separate(name: str) -> str:
    """Return a name in small letters, with the words of camel case separated."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()


def _named(name: str) -> int:
    """Score a name from -1 (something else) to 2 (a return)."""
    words = _separate(name)
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
