"""Guess which column of an unknown log is a return: by its name, then by its values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rungwise.health.improvement import FloatArray, keep_finite, kendall_tau

_RETURN = re.compile(r"return|reward|score|fitness|(?<![a-z])(ep_?)?(rew|ret)(?![a-z])")
"""Names of a return in other tools."""
_GAIN = re.compile(r"profit|payoff|payout|revenue|utility|performance|gain|points|pnl|success|win")
"""Names of quantities that a task may reward."""
_OTHER = re.compile(
    r"loss|entropy|grad|norm|advantage|value|(?<!un)discount|deviation|variance|median|best|target"
    r"|thresh|intrinsic|bonus|penalty|shap(?:ed|ing)|scale|weight|coef|buffer|baseline|error|quantile"
    r"|(?<![a-z])(kl|lr|std|var|min|max|len|num|fps|high|low|iqr|sem|ci|stderr|stdev|t)"
    r"(?![a-z])|rate|length|step|time|clock|epoch|iter|seed|(?<!dis)count"
)
"""Names of other logged quantities, such as the spread and the extremes of a return."""
_EVALUATION = re.compile(r"(?<![a-z])(?:eval\w*?|test\w*?|val|valid|validation|held_?out)(?![a-z])")
_KINDS = ({"return", "returns"}, {"reward", "rewards"}, {"score", "scores"}, {"ret", "rew"})
"""Words for a return, the clearest first; Dreamer's ``train/ret`` is not that of an episode."""
AVERAGE = {"mean", "avg", "average"}
_SMOOTHED = {"running", "moving", "smoothed", "ema", "ma", "history"}
"""Words of a mean over the last episodes, as is a number of 100."""
_PLAIN = {
    *("ep", "eps", "episode", "episodes", "episodic", "total", "sum", "cumulative", "cum", "acc"),
    *("accumulated", "undiscounted", "train", "training", "rollout", "rollouts", "env", "stats"),
    *("environment", "chart", "charts", "collect", "exploration", "agent", "eval", "evaluation"),
    *("evaluator", "test", "testing", "val", "validation", "stat", "metrics", "perf", "true"),
    *("performance", "per", "info", "extrinsic"),
}.union(AVERAGE, _SMOOTHED, *_KINDS)
"""Words that do not make a return something else."""


class ReturnName(NamedTuple):
    """The rank of a return's name by its words; of several names the smallest is the clearest."""

    is_evaluation: bool
    is_unclear: bool  # for other words, which may make it something else
    kind: int
    is_average: bool
    is_smoothed: bool
    words: tuple[str, ...]


def rank_likely_returns(columns: Mapping[str, FloatArray]) -> list[str]:
    """Return the columns, the one that looks most like a return first.

    Args:
        columns: name to its values [R], NaN where a row has none; equals keep their order.
    """
    return sorted(columns, key=lambda n: (_score_name(n), *_score_values(columns[n])), reverse=True)


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
    return max(filter(may_be_return, names), key=_score_name, default="")


@lru_cache(maxsize=1 << 14)
def is_evaluation(name: str) -> bool:
    """Return whether a name is that of an evaluation, and not of the training."""
    return _EVALUATION.search(_separate(name)) is not None


@lru_cache(maxsize=1 << 14)
def parse_return(name: str) -> ReturnName | None:
    """Return the words of a name that is like that of a return; None for any other name."""
    if _score_name(name) < 2 or name.startswith("config/"):
        return None
    words = list_words(name)
    is_unclear = bool(set(words) - _PLAIN)
    kinds = [] if is_unclear else [kind for kind, of in enumerate(_KINDS) if of & set(words)]
    is_average = not AVERAGE.isdisjoint(words)
    is_smoothed = "100" in name or not _SMOOTHED.isdisjoint(words)
    rank = is_evaluation(name), is_unclear, min(kinds, default=len(_KINDS))
    return ReturnName(*rank, is_average, is_smoothed, words)


def is_return(name: str) -> bool:
    """Return whether a name is that of a return, or of what a task may reward."""
    return bool(name) and _score_name(name) > 0


def may_be_return(name: str) -> bool:
    """Return whether a name says nothing against a return."""
    # A name that ends with an equals sign is a line for Excel (``sep=,``).
    return bool(name.strip()) and not name.endswith("=") and _score_name(name) >= 0


def _separate(name: str) -> str:
    """Return a name in small letters, with the words of camel case separated."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()


@lru_cache(maxsize=1 << 14)
def list_words(name: str) -> tuple[str, ...]:
    """Return the words of a name in small letters."""
    return tuple(re.findall(r"[a-z]+", _separate(name)))


def _score_name(name: str) -> int:
    """Score a name from -1 (something else) to 2 (a return)."""
    words = _separate(name)
    if _OTHER.search(words):
        return -1
    return 2 if _RETURN.search(words) else 1 if _GAIN.search(words) else 0


def _score_values(values: FloatArray) -> tuple[int, float]:
    """Score how much values [R] look like a return: noise that may rise, no clock or constant."""
    finite = keep_finite(values)
    if finite.size < 2 or np.ptp(finite) == 0:
        return 0, 0.0
    trend = kendall_tau(finite)
    # A clock, a count and a schedule never turn back; of noise that is improbable beyond few rows.
    return (1 if abs(trend) == 1 else 2), trend
