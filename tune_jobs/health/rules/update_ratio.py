"""Rule ``update_ratio``: an iteration changes the parameters far too much or hardly at all."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.improvement import FloatArray
from tune_jobs.health.remedy import Remedy, put
from tune_jobs.health.rules.frozen_policy import FrozenPolicy


@dataclasses.dataclass(frozen=True)
class UpdateRatio(Rule):
    """The parameters' change over their size, both as norms, is out of all proportion.

    About a thousandth a step is a rule of thumb; an iteration of dozens of steps changes a fresh
    network by up to a tenth (measured: 0.08 in a healthy causal run, 8 at a learning rate of 0.3).
    Fast or slow is no fault while the score improves or tends upwards. Where the policy stands
    still altogether ``frozen_policy`` says so, and this rule is silent.

    Warm-up: ``rows`` rows and ``share_of_budget`` (a learning rate may warm up). NaN policy: rows
    without the ratio are left out.
    """

    symptom: ClassVar[str] = "update_ratio"
    needs: ClassVar[tuple[str, ...]] = ("update_ratio", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "a learning rate far too high or far too low",
        "too many or too few optimiser steps in an iteration",
        "a gradient clip near zero",
    )
    remedy: ClassVar[Remedy] = (
        put("lr", 3e-4),
        put("epochs", 4),
        put("grad_clip", 0.5),
        "look at the size of the rewards and of the observations",
    )

    high: Annotated[float, Positive] = 0.3
    """Ratio above which an iteration makes another network of it."""
    low: Annotated[float, Positive] = 1e-6
    """Ratio below which a thousand iterations would not be seen."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 5
    """All of this many last iterations must be sick."""
    share_of_budget: Annotated[float, Fraction] = 0.1
    """Share of the budget spent before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when all recent ratios are above the high or below the low limit."""
        if (
            not history.is_warmed_up(self.rows, self.share_of_budget)
            or history.improved is not False
        ):
            return None
        ratios = history.recent("update_ratio", self.rows)
        if ratios.size == 0 or history.trend > self.tau:
            return None
        if ratios.min() > self.high:
            sick, severity = history.series("update_ratio") > self.high, "warn"
        elif ratios.max() < self.low and _still_moves(history):
            sick, severity = history.series("update_ratio") < self.low, "stop"
        else:
            return None
        return self._finding(history, severity, history.find_onset(sick, self.rows), ratios)

    def _finding(
        self, history: History, severity: Severity, since: int, ratios: FloatArray
    ) -> Finding:
        rate = f" at a learning rate of {history.latest('lr'):.2g}" if history.has("lr") else ""
        return Finding(
            self.symptom,
            severity,
            since,
            f"an iteration changes the parameters by {np.median(ratios):.2g} of their size{rate} "
            "and the score has not improved",
        )


def _still_moves(history: History) -> bool:
    """Whether nobody says already that the policy stands still."""
    return not history.has("entropy") or FrozenPolicy()(history) is None
