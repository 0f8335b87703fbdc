"""Rule ``not_finite``: NaN or Inf in an observation, reward, loss, gradient or parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from tune_jobs.formatting import count
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import History, Row, as_number
from tune_jobs.health.remedy import Remedy, lower, put
from tune_jobs.health.rule import Rule

WATCHED = ("policy_loss", "value_loss", "entropy", "kl", "grad_norm")
"""Metrics checked in rows without a count of non-finite numbers, as in logs of other tools."""


@dataclass(frozen=True)
class NotFinite(Rule):
    """Any non-finite number ends the run at once: parameters do not recover from NaN.

    Explained variance is not checked: it is NaN whenever all returns are equal (28 of 37 rows of
    one healthy run). Neither is a metric that a row lacks (an empty cell of a log), nor a NaN
    return in an iteration in which no episode finished: where those are not counted, one without a
    length of episodes.

    Warm-up: none. NaN policy: NaN is the finding. The rule needs no particular metric: it checks
    those that were logged.
    """

    symptom: ClassVar[str] = "not_finite"
    needs: ClassVar[tuple[str, ...]] = ()
    can_recover: ClassVar[bool] = False
    ignores_patience: ClassVar[bool] = True
    stops_rising: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "NaN or Inf in an observation or reward of the environment",
        "a division by zero or logarithm of zero in a custom loss or network",
        "a learning rate so high that the parameters overflow",
    )
    remedy: ClassVar[Remedy] = (
        "run `rungwise check ENV` on the environment first",
        lower("lr", 1e-4, "if the environment is clean lower {}"),
        put("grad_clip", 0.5, "clip with {}"),
    )

    def judge(self, history: History) -> Finding | None:
        """Return a stop at the first row with a non-finite number."""
        if not history.series("nonfinite").any():  # NaN counts as true: all rows report zero
            return None
        counts = [_count_nonfinite(row) for row in history.rows]
        first = next((index for index, (amount, _) in enumerate(counts) if amount), None)
        if first is None:
            return None
        amount, since = sum(amount for amount, _ in counts), history.iteration(first)
        return self.report(
            "stop",
            since,
            f"{count(amount, 'non-finite number')}, the first in {counts[first][1]}, in iteration "
            f"{since}",
        )


def _count_nonfinite(row: Row) -> tuple[int, str]:
    """Return how many numbers of this row are not finite, and where the first of them is."""
    counted = as_number(row.get("nonfinite"))
    if math.isfinite(counted):  # counted where they arose, which the means of this row may hide
        return int(counted), str(row.get("nonfinite_where") or "a place that was not recorded")
    places = [
        f"{name} ({value})"
        for name in WATCHED
        if isinstance(value := row.get(name), float) and not math.isfinite(value)
    ]
    # A NaN return is the usual value of a row in which no episode finished.
    mean = as_number(row.get("return_mean", 0.0))
    lengths = as_number(row.get("episode_length"))
    finished = as_number(row.get("episodes", 0 if math.isnan(lengths) else 1)) > 0
    if math.isinf(mean) or (math.isnan(mean) and finished):
        places.append(f"return_mean ({mean})")
    return len(places), places[0] if places else ""
