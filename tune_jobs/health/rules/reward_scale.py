"""Rule ``reward_scale``: returns are so large or so small that it shows in the learning."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Between, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.improvement import FloatArray
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, lower


@dataclasses.dataclass(frozen=True)
class RewardScale(Rule):
    """Returns far from 1 to 100, with a value function that does not follow.

    Size alone is no fault: runs with returns of -1,000 learn. So either the value explains
    nothing or (large returns) the gradients are always clipped, and the score has not improved.
    Below ``tiny`` not even that can be told: the values' first errors are larger than the returns.
    A score that tends upwards clears returns that are not ``vast``.
    Logs of normalised rewards may show the raw returns: there the value loss is small, and nothing
    is said.

    Warm-up: ``rows`` rows and ``share_of_budget``. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "reward_scale"
    needs: ClassVar[tuple[str, ...]] = ("explained_variance", "value_loss", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "rewards in the units of the domain (euros, metres, milliseconds)",
        "a penalty or a bonus that dwarfs all other rewards",
        "a sum over many steps where a mean was meant",
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
    """Size above which a trend clears nothing: Adam learns a little at any scale."""
    tau: Annotated[float, Fraction] = 0.3
    """Kendall's tau of the score above which it tends upwards."""
    tiny: Annotated[float, Positive] = 1e-4
    """Size below which the optimiser's epsilon (1e-5 in SB3) and the rounding of SB3's Monitor
    (1e-6) count. A mean of 100 episodes, some of which earned as little as 0.01, is larger."""
    error: Annotated[float, Positive] = 100.0
    """Value loss below which large returns are taken to have been normalised."""
    explained: Annotated[float, Between(-1, 1)] = 0.05
    """Explained variance below which the value does not follow (`low_explained_variance`)."""
    clipped: Annotated[float, Fraction] = 0.95
    """Share of clipped gradients above which they always are (`gradients_always_clipped`)."""
    rows: Annotated[int, AtLeastOne] = 10
    """The medians of this many last iterations are judged."""
    share_of_budget: Annotated[float, Fraction] = 0.2
    """Share of the budget spent before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the returns' size is far out and the value function does not cope."""
        if (
            not history.is_warmed_up(self.rows, self.share_of_budget)
            or history.improved is not False
        ):
            return None
        names = ("target_abs_max", "return_mean", "return_mean_100")
        name = next((name for name in names if history.has(name)), "")
        size = _middle(np.abs(history.recent(name, self.rows)))
        loss = _middle(history.recent("value_loss", self.rows))
        large = size > self.large and loss > self.error
        shown = self._shown(history, large, 0 < size < self.tiny)
        if not (large or 0 < size < self.small) or not shown:
            return None
        if history.trend > self.tau and size < self.vast:
            return None
        sizes = np.abs(history.series(name))
        return Finding(
            self.symptom,
            "warn",
            history.find_onset((sizes > self.large) | (sizes < self.small), self.rows),
            f"{name} is {size:.3g} in size over the last {self.rows} iterations, {shown} and the "
            "score has not improved",
        )

    def _shown(self, history: History, large: bool, tiny: bool) -> str:
        """What it does to the learning, in words; empty if nothing."""
        explained = _middle(history.recent("explained_variance", self.rows))
        if explained < self.explained:
            return f"explained variance is {explained:.2g}"
        if tiny:
            return "which is lost in the noise of the updates"
        clipped = _middle(history.recent("grad_clip_fraction", self.rows))
        if large and clipped > self.clipped:
            return f"{clipped:.0%} of the gradients are clipped"
        return ""


def _middle(values: FloatArray) -> float:
    return float(np.median(values)) if values.size else math.nan
