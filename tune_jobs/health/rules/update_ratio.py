"""Rule ``update_ratio``: an iteration changes the parameters far too much or hardly at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, put
from tune_jobs.health.rule import Rule
from tune_jobs.health.rules.frozen_policy import is_policy_frozen


@dataclass(frozen=True)
class UpdateRatio(Rule):
    """The norm of the parameters' change over their norm is far outside the usual range.

    About a thousandth per step is a rule of thumb; an iteration of dozens of steps changes a fresh
    network by up to a tenth (measured: 0.08 in a healthy causal run, 8 at a learning rate of 0.3).
    Fast or slow is no fault while the score improves or tends upwards. Where the policy does not
    move at all, ``frozen_policy`` reports it instead.

    Warm-up: ``rows`` rows and ``budget_fraction`` (a learning rate may warm up). NaN policy: rows
    without the ratio are left out.
    """

    symptom: ClassVar[str] = "update_ratio"
    needs: ClassVar[tuple[str, ...]] = ("update_ratio", SCORE)
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "a learning rate far too high or far too low",
        "too many or too few optimiser steps in an iteration",
        "a gradient clip near zero",
    )
    remedy: ClassVar[Remedy] = (
        put("lr", 3e-4),
        put("epochs", 4),
        put("grad_clip", 0.5),
        "check the size of the rewards and of the observations",
    )

    high: Annotated[float, Positive] = 0.3
    """Ratio above which an iteration replaces the network."""
    low: Annotated[float, Positive] = 1e-6
    """Ratio below which a thousand iterations have no effect."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations, all of which must be sick."""
    budget_fraction: Annotated[float, Fraction] = 0.1
    """Fraction of the budget that must be used before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when all recent ratios are too high or all are too low."""
        ratios = history.recent("update_ratio", self.rows)
        if ratios.size == 0 or history.trend > self.tau:
            return None
        if ratios.min() > self.high:
            sick, severity = history.series("update_ratio") > self.high, "warn"
        # Too small a ratio only wastes the budget, for good unless a schedule changes it; too large
        # a one can still settle.
        elif ratios.max() < self.low and not is_policy_frozen(history):
            sick, severity = history.series("update_ratio") < self.low, "stop"
        else:
            return None
        rate = f" at a learning rate of {history.latest('lr'):.2g}" if history.has("lr") else ""
        return self.report(
            severity,
            history.find_onset(sick, self.rows),
            f"an iteration changes the parameters by {np.median(ratios):.2g} of their size{rate} "
            "and the score has not improved",
        )
