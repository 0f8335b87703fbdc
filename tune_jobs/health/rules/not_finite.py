"""Rule ``not_finite``: NaN or Inf in an observation, reward, loss, gradient or parameter."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from tune_jobs.formatting import count
from tune_jobs.health.finding import Finding, History, Row, Rule
from tune_jobs.health.history import as_number
from tune_jobs.health.remedy import Remedy, lower, put

WATCHED = ("policy_loss", "value_loss", "entropy", "kl", "grad_norm")
"""Looked at in rows that carry no count of non-finite numbers, as those of foreign logs."""


@dataclasses.dataclass(frozen=True)
class NotFinite(Rule):
    """Any non-finite number ends the run at once: parameters do not come back from NaN.

    Explained variance is not watched: it is NaN by right when all returns are equal (28 of 37 rows
    of one healthy run). Neither is a metric that a row does not have (a log's empty cell), nor a
    NaN return in an iteration in which no episode finished.

    Warm-up: none. NaN policy: NaN is the finding. It needs no particular metric: it judges
    whichever of the numbers were logged.
    """

    symptom: ClassVar[str] = "not_finite"
    needs: ClassVar[tuple[str, ...]] = ()
    causes: ClassVar[tuple[str, ...]] = (
        "NaN or Inf in an observation or reward of the environment",
        "a division or logarithm at zero in a loss or network of one's own",
        "a learning rate so high that the parameters overflow",
    )
    remedy: ClassVar[Remedy] = (
        "run `rungwise check ENV` on the environment first",
        lower("lr", 1e-4, "if it is clean lower {}"),
        put("grad_clip", 0.5, "clip with {}"),
    )
    can_recover: ClassVar[bool] = False
    ignores_patience: ClassVar[bool] = True
    stops_rising: ClassVar[bool] = True

    def __call__(self, history: History) -> Finding | None:
        """The first row with a non-finite number."""
        if not history.series("nonfinite").any():  # no NaN either: all rows say that none is
            return None
        seen = [_seen(row) for row in history.rows]
        first = next((index for index, (amount, _) in enumerate(seen) if amount), None)
        if first is None:
            return None
        amount, since = sum(amount for amount, _ in seen), history.iteration(first)
        return Finding(
            self.symptom,
            "stop",
            since,
            f"{count(amount, 'non-finite number')}, the first in {seen[first][1]}, in iteration "
            f"{since}",
        )


def _seen(row: Row) -> tuple[int, str]:
    """How many numbers of this row are not finite, and where the first of them is."""
    counted = as_number(row.get("nonfinite"))
    if math.isfinite(counted):  # at the source, which knows more than the means in this row
        return int(counted), str(row.get("nonfinite_where") or "a place that was not recorded")
    places = [
        f"{name} ({value})"
        for name in WATCHED
        if isinstance(value := row.get(name), float) and not math.isfinite(value)
    ]
    mean = as_number(row.get("return_mean", 0.0))
    if math.isinf(mean) or (math.isnan(mean) and as_number(row.get("episodes")) > 0):
        places.append(f"return_mean ({mean})")
    return len(places), places[0] if places else ""
