"""The rule for rewards that are easier to get than the goal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rungwise.health.finding import Finding
from rungwise.health.history import History
from rungwise.health.improvement import (
    FloatArray,
    Improvement,
    IndexArray,
    keep_finite,
    kendall_tau,
    pool_scores,
    slide_mean,
)
from rungwise.health.progress import POOLED
from rungwise.health.rule import Rule
from rungwise.validation import AtLeastOne, Fraction, Positive

_has_improved = Improvement()


@dataclass(frozen=True)
class RewardHacking(Rule):
    """The agent collects rewards that are easier to get than the goal.

    In the shopping post-mortem every click paid 0.2, twenty clicks paid more than the purchase, and
    success fell from 80 to 40 % while the reward rose. There are two forms.

    * A fall: since the iterations around the best success rate the return has risen and success has
      fallen. A fall of a small rate is luck.
    * Flat success: the return has improved over the whole run, and the success rate has not and
      does not tend upwards. A rate near 1 cannot rise further. Success that follows the return with
      a delay tends upwards, or it is too early for this form. It is a note where episodes became
      shorter: that may be all that is gained, as in a maze whose way is found and whose cue needs
      a memory.

    Where no episode ever succeeded ``no_success`` reports it. Of a curriculum only the rows since
    the last change of ``stage`` are read: harder stages may pay more.
    """

    symptom = "reward_hacking"
    title = "The return rises while the success rate does not, or falls"
    needs = ("success_rate", "return_mean")
    stops_rising = True
    warm_up = "`rows` rows and `budget_fraction`, `flat_from` for the second form"
    nan_policy = "rows without both metrics are left out"
    silence_disproves = True
    causes = (
        "shaping rewards that can be collected again and again (clicks, steps, survival)",
        "shaping rewards that together pay more than the goal",
        "a goal that ends the episode, and so the other rewards",
        "a curriculum whose harder stages pay more, in a log without a column `stage`",
        "steps that cost something, and success that depends on what is not observed any more",
    )
    remedy = (
        "make the shaping potential-based, so that repetition earns nothing (reward + gamma * "
        "potential(next) - potential(now), 0 at the end), or reduce it to less than the goal in "
        "total",
        "make the success rate the job's metric, so that it selects the best checkpoint",
        "if success depends on what was seen earlier, give the policy a memory",
    )

    fall: Annotated[float, Fraction] = 0.3
    """Fraction of its best that the success rate must have lost."""
    points: Annotated[float, Fraction] = 0.1
    """Absolute loss of the success rate that is needed as well."""
    full: Annotated[float, Fraction] = 0.9
    """Success rate from which it counts as unable to rise further."""
    relative: Annotated[float, Fraction] = 0.05
    """Fraction of its size by which the return must have risen."""
    noise: Annotated[float, Positive] = 3.0
    """Standard errors that rise and fall must exceed."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the success rate above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 15
    budget_fraction: Annotated[float, Fraction] = 0.2
    """Fraction of the budget from which it judges a fall."""
    flat_from: Annotated[float, Fraction] = 0.6
    """Fraction of the budget from which it judges success that does not rise."""
    stop_from: Annotated[float, Fraction] = 0.6
    """Fraction of the budget from which it asks for a stop."""
    stop_below: Annotated[float, Fraction] = 0.6
    """Fraction of its best to which success must have fallen for a stop (post-mortem: half)."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the return rises and the success rate does not."""
        rate, gain = history.series("success_rate"), history.series("return_mean")
        indices = np.flatnonzero(np.isfinite(rate) & np.isfinite(gain))
        # A harder stage of a curriculum may pay more, and success falls with it.
        indices = indices[indices >= history.progress.stage_start]
        # The rate of a few episodes is 0 or 1 by luck.
        counts = np.nan_to_num(history.series("episodes")[indices], nan=POOLED)
        rows, rates, episodes = pool_scores(rate[indices], counts, POOLED)
        _, gains, _ = pool_scores(gain[indices], counts, POOLED)
        # Above 1 it counts something else, such as goals, or is in percent.
        if rows.size < 8 or not np.any(rates > 0) or np.any((rates < 0) | (rates > 1 + 1e-6)):
            return None
        rates = np.minimum(rates, 1)
        indices = indices[rows]
        return self._judge_fall(
            history, indices, rates, gains, float(np.median(episodes))
        ) or self._judge_flat(history, indices, rates, gains, episodes)

    def _judge_fall(
        self,
        history: History,
        indices: IndexArray,
        rate: FloatArray,
        gain: FloatArray,
        episodes: float,
    ) -> Finding | None:
        """Compare the last rows with those of the best success rate, given the episodes of one."""
        width = max(3, min(10, indices.size // 5))
        # Means over neighbours: the best single row of a success rate is mostly luck.
        levels = slide_mean(rate, width)
        # The windows must not overlap, or the same rows would count on both sides.
        start = int(levels[:-width].argmax()) if levels.size > width else 0
        best, now = rate[start : start + width], rate[-width:]
        before, after = gain[start : start + width], gain[-width:]
        lost, gained = float(best.mean() - now.mean()), float(after.mean() - before.mean())
        size = max(abs(before.mean()), abs(after.mean()))
        # Three equal rates have no variance, though they are of few episodes.
        middle = float(np.concatenate([best, now]).mean())
        binomial = math.sqrt(middle * (1 - middle) * 2 / (width * episodes))
        error = max(binomial, _error(best, now))
        # Three limits: percentage points (a small rate halves by luck), a fraction and the noise.
        fell = lost > max(self.points, self.fall * best.mean(), self.noise * error)
        rose = gained > max(self.relative * size, self.noise * _error(before, after))
        if not (fell and rose):
            return None
        low = now.mean() <= self.stop_below * best.mean()
        return self.report(
            "stop" if low and history.budget_fraction_used >= self.stop_from else "warn",
            history.iteration(int(indices[start + width - 1])),
            f"since then the return has risen from {before.mean():.3g} to {after.mean():.3g} while "
            f"the success rate fell from {best.mean():.0%} to {now.mean():.0%}",
        )

    def _judge_flat(
        self,
        history: History,
        indices: IndexArray,
        rate: FloatArray,
        gain: FloatArray,
        episodes: FloatArray,
    ) -> Finding | None:
        """Compare the whole course of the return with that of the success rate."""
        # The mean of the last third, as one good row at the end is no rise.
        now = float(rate[-math.ceil(rate.size / 3) :].mean())
        if (
            history.budget_fraction_used < self.flat_from
            or now >= self.full
            or kendall_tau(rate) > self.tau
            or _has_risen(rate)
        ):
            return None
        # None (too early) of the rate passes here, and that of the return does not.
        if _has_improved(rate, episodes) or not _has_improved(gain, episodes):
            return None
        lengths = keep_finite(history.series("episode_length")[indices])
        shorter = bool(_has_improved(-lengths, episodes[-lengths.size :]))
        how = f"; {lengths[0]:,.0f} steps an episode fell to {lengths[-1]:,.0f}" if shorter else ""
        return self.report(
            "note" if shorter else "warn",
            history.iteration(int(indices[0])),
            f"the return has improved from {gain[0]:.3g} to {gain[-1]:.3g} while the success rate "
            f"has not ({now:.0%}){how}",
        )


def _has_risen(rate: FloatArray) -> bool:
    """Return whether the later half of the rates [P] is above the earlier by a standard error."""
    early, late = np.array_split(rate, 2)
    middle = float(rate.mean())
    error = math.sqrt(middle * (1 - middle) * (1 / early.size + 1 / late.size) / POOLED)
    return bool(late.mean() - early.mean() > max(error, _error(early, late)))


def _error(a: FloatArray, b: FloatArray) -> float:
    """Return the standard error of the difference of two means."""
    return math.sqrt(float(a.var(ddof=1)) / a.size + float(b.var(ddof=1)) / b.size)
