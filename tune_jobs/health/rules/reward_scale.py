"""Rule ``reward_scale``: returns are so large or so small that learning suffers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Between, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, lower
from tune_jobs.health.rule import Rule

STANDARDISED = ("normalise_values", "normalise_advantages")
"""Settings that together make learning independent of the size of the rewards."""


@dataclass(frozen=True)
class RewardScale(Rule):
    """Returns are far from 1 to 100, and the value function does not follow them.

    Size alone is no fault: runs with returns of -1,000 learn. So either the value function explains
    nothing or (large returns) the gradients are always clipped, and the score has not improved.
    Below ``tiny`` neither can be measured: the initial errors of the values are larger than the
    returns. A score that tends upwards clears returns that are not ``vast``.
    Logs of normalised rewards may contain the raw returns: there the value loss is small, and
    nothing is reported. Nor is anything where values and advantages are standardised: a factor of
    the rewards then changes nothing.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "reward_scale"
    needs: ClassVar[tuple[str, ...]] = ("explained_variance", "value_loss", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "rewards in the units of the domain (euros, metres, milliseconds)",
        "a penalty or a bonus much larger than all other rewards",
        "a sum over many steps where a mean was intended",
    )
    remedy: ClassVar[Remedy] = (
        SCALED_REWARDS,
        lower("value_coef", 0.01, "for large returns lower {}"),
    )

    large: Annotated[float, Positive] = 100.0
    """Size of the returns (of the targets, where known) above which they are large."""
    small: Annotated[float, Positive] = 0.01
    """Size below which they are small."""
    vast: Annotated[float, Positive] = 1e5
    """Size from which a trend of the score clears nothing: Adam learns a little at any scale."""
    tau: Annotated[float, Fraction] = 0.3
    """Kendall's tau of the score above which it tends upwards."""
    tiny: Annotated[float, Positive] = 1e-4
    """Size below which the optimiser's epsilon (1e-5 in SB3) and the rounding of SB3's Monitor
    (1e-6) matter. A mean of 100 episodes, some of which earned as little as 0.01, is larger."""
    error: Annotated[float, Positive] = 100.0
    """Value loss up to which large returns count as normalised."""
    explained: Annotated[float, Between(-1, 1)] = 0.05
    """Explained variance below which the value does not follow (as in `low_explained_variance`)."""
    clipped: Annotated[float, Fraction] = 0.95
    """Fraction of clipped gradients above which they count as always clipped."""
    rows: Annotated[int, AtLeastOne] = 10
    """Number of last iterations whose medians are judged."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    """Fraction of the budget that must be used before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when returns are large or small and the value function fails."""
        if all(history.settings.get(name) is True for name in STANDARDISED):
            return None
        # Targets come first, because they are what the value function sees: returns may be logged
        # raw although the rewards are normalised.
        names = ("target_abs_max", "return_mean", "return_mean_100")
        name = next((name for name in names if history.has(name)), "")
        recent = np.abs(history.recent(name, self.rows))
        size = float(np.median(recent)) if recent.size else 0.0
        # A small value loss at large returns means that the rewards are normalised inside the
        # trainer.
        large = size > self.large and history.median("value_loss", self.rows) > self.error
        effect = self._describe_effect(history, large, 0 < size < self.tiny)
        if not (large or 0 < size < self.small) or not effect:
            return None
        # A trend at vast returns is no evidence of health: Adam learns a little at any scale.
        if history.trend > self.tau and size < self.vast:
            return None
        sizes = np.abs(history.series(name))
        return self.report(
            "warn",
            history.find_onset((sizes > self.large) | (sizes < self.small), self.rows),
            f"{name} is {size:.3g} in size over the last {self.rows} iterations, {effect} and the "
            "score has not improved",
        )

    def _describe_effect(self, history: History, large: bool, tiny: bool) -> str:
        """Return the effect on learning as a clause, empty if there is none."""
        explained = history.median("explained_variance", self.rows)
        if explained < self.explained:
            return f"explained variance is {explained:.2g}"
        if tiny:
            return "which is lost in the noise of the updates"
        clipped = history.median("grad_clip_fraction", self.rows)
        if large and clipped > self.clipped:
            return f"{clipped:.0%} of the gradients are clipped"
        return ""
