"""Rule ``reward_hacking``: the return rises, and success does not rise with it or even falls."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import Finding, History, Rule, Severity
from tune_jobs.health.improvement import FloatArray, Improvement, kendall_tau
from tune_jobs.health.remedy import Remedy

Indices = NDArray[np.intp]

_has_improved = Improvement()


@dataclasses.dataclass(frozen=True)
class RewardHacking(Rule):
    """The agent has found rewards that are easier to get than the goal.

    In the shopping post-mortem every click paid 0.2, twenty clicks paid more than the purchase, and
    success fell from 80 to 40 % while the reward rose. Judged against the iterations around the
    best success rate: since then the return has risen and success has fallen. Or the return has
    improved over the whole run, and success neither has nor tends upwards. Where nothing ever
    succeeded ``no_success`` says it; a success rate near 1 has no room left, and the return may
    well rise alone; a fall of a rate that was small is luck. Where success follows the return with
    a delay the rates are on their way up, or it is too early for the second form to judge.

    Warm-up: ``rows`` rows and ``warn_from`` of the budget, ``flat_from`` for the second form. NaN
    policy: rows without both metrics are left out.
    """

    symptom: ClassVar[str] = "reward_hacking"
    needs: ClassVar[tuple[str, ...]] = ("success_rate", "return_mean")
    causes: ClassVar[tuple[str, ...]] = (
        "shaping rewards that can be collected again and again (clicks, steps, survival)",
        "shaping rewards that together pay more than the goal",
        "a goal that ends the episode, and so the other rewards",
    )
    remedy: ClassVar[Remedy] = (
        "make the shaping potential-based, so that it cannot be farmed (reward + gamma * "
        "potential(next) - potential(now), 0 at the end), or cut it down to less than the goal in "
        "all",
        "let the success rate be the job's metric, so that the best model is kept by it",
    )
    stops_rising: ClassVar[bool] = True

    fall: Annotated[float, Fraction] = 0.3
    """Share of its best that the success rate must have lost."""
    points: Annotated[float, Fraction] = 0.1
    """And no less than this: a smaller fall is luck."""
    full: Annotated[float, Fraction] = 0.9
    """Success rate from which on it has no room left to rise."""
    relative: Annotated[float, Fraction] = 0.05
    """The return must have risen by more than this share of its size."""
    noise: Annotated[float, Positive] = 3.0
    """Rise and fall must be larger than this many standard errors."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the success rate above which it is on its way up."""
    rows: Annotated[int, AtLeastOne] = 15
    """Rows before it judges (or half of the budget, if that is less)."""
    warn_from: Annotated[float, Fraction] = 0.2
    """Share of the budget from which it judges a fall."""
    flat_from: Annotated[float, Fraction] = 0.6
    """Share of the budget from which it judges success that does not rise."""
    stop_from: Annotated[float, Fraction] = 0.6
    """Share of the budget from which it asks for a stop."""
    stop_below: Annotated[float, Fraction] = 0.6
    """And the share of its best to which success must have fallen for that (post-mortem: half)."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the return goes up and success does not go with it."""
        if not history.is_warmed_up(self.rows, self.warn_from):
            return None
        rate, gain = history.series("success_rate"), history.series("return_mean")
        known = np.flatnonzero(np.isfinite(rate) & np.isfinite(gain))
        if known.size < 8 or not np.any(rate[known] > 0):
            return None
        return self._fallen(history, known, rate[known], gain[known]) or self._flat(
            history, known, rate[known], gain[known]
        )

    def _fallen(
        self, history: History, known: Indices, rate: FloatArray, gain: FloatArray
    ) -> Finding | None:
        width = max(3, min(10, known.size // 5))
        levels = np.lib.stride_tricks.sliding_window_view(rate, width).mean(axis=1)
        start = int(levels[:-width].argmax()) if levels.size > width else 0
        best, now = rate[start : start + width], rate[-width:]
        before, after = gain[start : start + width], gain[-width:]
        lost, won = float(best.mean() - now.mean()), float(after.mean() - before.mean())
        size = max(abs(before.mean()), abs(after.mean()))
        fell = lost > max(self.points, self.fall * best.mean(), self.noise * _error(best, now))
        rose = won > max(self.relative * size, self.noise * _error(before, after))
        if not (fell and rose):
            return None
        low = now.mean() <= self.stop_below * best.mean()
        severity: Severity = (
            "stop" if low and history.budget_fraction_used >= self.stop_from else "warn"
        )
        return Finding(
            self.symptom,
            severity,
            history.iteration(int(known[start + width - 1])),
            f"since then the return has risen from {before.mean():.3g} to {after.mean():.3g} while "
            f"the share of episodes that succeed fell from {best.mean():.0%} to {now.mean():.0%}",
        )

    def _flat(
        self, history: History, known: Indices, rate: FloatArray, gain: FloatArray
    ) -> Finding | None:
        episodes = history.series("episodes")[known]
        now = float(np.median(rate[-math.ceil(rate.size / 3) :]))
        if (
            history.budget_fraction_used < self.flat_from
            or now >= self.full
            or kendall_tau(rate) > self.tau
        ):
            return None
        if _has_improved(rate, episodes) or not _has_improved(gain, episodes):
            return None
        return Finding(
            self.symptom,
            "warn",
            history.iteration(int(known[0])),
            f"the return has improved from {gain[0]:.3g} to {gain[-1]:.3g} while the share of "
            f"episodes that succeed has not ({now:.0%})",
        )


def _error(a: FloatArray, b: FloatArray) -> float:
    """The standard error of the difference of two means."""
    return math.sqrt(float(a.var(ddof=1)) / a.size + float(b.var(ddof=1)) / b.size)
