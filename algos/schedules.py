"""Values that change over training, as pure functions of its progress.

``progress`` is the share of the training budget that is spent when an update is done. Every
schedule reaches its end exactly at 1, whatever the number of updates; only the learning rate, which
may end at 0, lags behind by an update (:func:`schedule_update`).
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

ScheduleKind: TypeAlias = Literal["constant", "linear", "cosine", "exponential"]


def schedule(
    kind: ScheduleKind, start: float, end: float, progress: float, *, warmup: float = 0.0
) -> float:
    """Return the scheduled value at ``progress``.

    Args:
        kind: ``constant`` (``end`` is not used), ``linear``, ``cosine`` (half a period, Loshchilov
            and Hutter 2017, without restarts) or ``exponential`` (equal factors in equal times).
        start: value at the beginning, or at the end of the warm-up.
        end: value at progress 1. An exponential schedule needs it above zero.
        progress: share of training done; values beyond 1 count as 1.
        warmup: share of training in which the value rises linearly from zero to ``start``.

    >>> [schedule("linear", 1.0, 0.0, p, warmup=0.5) for p in (0.25, 0.5, 0.75, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    >>> round(schedule("exponential", 1.0, 0.01, 0.5), 3)
    0.1
    """
    progress = min(max(progress, 0.0), 1.0)
    # Exactly: the formulas below would miss the end by a rounding error.
    if progress == 1 and kind != "constant":
        return end
    if progress < warmup:
        return start * progress / warmup
    done = (progress - warmup) / (1 - warmup) if warmup < 1 else 1.0
    if kind == "linear":
        return start + (end - start) * done
    if kind == "cosine":
        return end + (start - end) * 0.5 * (1 + math.cos(math.pi * done))
    if kind == "exponential" and start > 0:
        return start * (end / start) ** done
    return start


def schedule_update(
    kind: ScheduleKind,
    start: float,
    end: float,
    begin: float,
    done: float,
    *,
    warmup: float = 0.0,
) -> float:
    """Return the value for an update that takes progress from ``begin`` to ``done``.

    It falls by the update's begin and rises, in the warm-up, by its end: at the other ends the
    value may be 0, and the first or the last update would do nothing.

    >>> [schedule_update("linear", 1.0, 0.0, i / 4, (i + 1) / 4) for i in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    >>> [schedule_update("constant", 1.0, 0.0, i / 4, (i + 1) / 4, warmup=0.5) for i in range(4)]
    [0.5, 1.0, 1.0, 1.0]
    """
    progress = done if done < warmup else max(begin, warmup)
    return schedule(kind, start, end, progress, warmup=warmup)


def adapt_entropy_coef(
    coef: float, entropy: float, target: float, *, rate: float = 0.1, high: float = 10.0
) -> float:
    """Return the entropy coefficient of the next update, steering the entropy towards a target.

    A multiplicative controller: the coefficient grows while the entropy (normalised, 0 to 1) is
    below the target and shrinks while it is above. It never reaches zero, so that it can recover.

    >>> adapt_entropy_coef(0.01, entropy=0.2, target=0.5)
    0.011000000000000001
    """
    factor = 1 + rate if entropy < target else 1 / (1 + rate)
    return min(max(coef * factor, 1e-6), high)


def schedule_log_std(
    kind: ScheduleKind | Literal["performance"],
    start: float,
    end: float,
    progress: float,
    score: float | None,
    scores: tuple[float, float],
) -> float | None:
    """Return the log standard deviation from now on, or None to leave it unchanged.

    Args:
        kind: ``constant``, ``linear``, ``cosine``, or ``performance``: linear in the score's
            position between ``scores``.
        start: its value at the beginning.
        end: its value at the end.
        progress: share of training done.
        score: the latest; None where no episode was finished.
        scores: the score at which it leaves its start, and the one at which it reaches its end.

    >>> schedule_log_std("performance", 0.0, -2.0, progress=0.1, score=0.5, scores=(0.0, 1.0))
    -1.0
    """
    if kind == "performance":
        if score is None or math.isnan(score):
            return None
        # May lie outside of [0, 1]: schedule() clamps it.
        kind, progress = "linear", (score - scores[0]) / (scores[1] - scores[0])
    return schedule(kind, start, end, progress)
