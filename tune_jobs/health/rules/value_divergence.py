"""Rule ``value_divergence``: the value function runs away from the returns it should predict."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.improvement import FloatArray, kendall_tau
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, at_most, lower


@dataclasses.dataclass(frozen=True)
class ValueDivergence(Rule):
    """Values or their targets grow beyond all reason, or the value loss out of all proportion.

    A value loss grows rightly with the square of the returns (CartPole's is five times its first
    after a while), so it is judged relative to them: after any number of rows, 43 logs of healthy
    runs of SB3 and RLlib were at no more than 4.3 times their beginning. An agent may learn for a
    while on values that run away (DQN with a discount of 1.2 reached 100 in CartPole before it
    lost all): there a loss that still grows is warned about, although the score has improved.

    Where episodes end by themselves no return can be more than the largest reward times the longest
    episode: targets beyond that are made of the values they bootstrap from. (Where a time limit
    cuts episodes off, what would have followed counts too: the targets are not judged.) For this,
    and for a stop, the score must not have improved.

    Warm-up: ``rows`` rows. NaN policy: rows without a number are left out, and errors before
    anything was returned.
    """

    symptom: ClassVar[str] = "value_divergence"
    needs: ClassVar[tuple[str, ...]] = ("value_loss", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "a discount of 1 (or more) in episodes that do not end",
        "a learning rate that is too high for the value function",
        "a value bootstrapped from itself: truncation treated as if nothing followed, or a stale "
        "target",
    )
    remedy: ClassVar[Remedy] = (
        at_most("gamma", 0.99),
        lower("lr", 1e-4),
        SCALED_REWARDS,
        "see that the environment tells truncated from terminated",
    )

    growth: Annotated[float, Positive] = 30.0
    """Value loss of the last third over that of the first rows, relative to the returns' square,
    above which one that still grows is warned about."""
    explosion: Annotated[float, Positive] = 1000.0
    """The same, above which it need not grow any more and may end a run."""
    beyond: Annotated[float, Positive] = 10.0
    """Largest value over largest target in size above which an iteration is sick."""
    reach: Annotated[float, Positive] = 2.0
    """Largest target over the largest possible return above which an iteration is sick; 20
    healthy runs of PPO and REINFORCE on six environments: 1.01 at most."""
    rows: Annotated[int, AtLeastOne] = 8
    """Rows before it judges; this many last iterations are compared."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when values leave their targets behind or their error explodes."""
        if not history.is_warmed_up(self.rows, 0.0) or history.improved is None:
            return None
        return (None if history.improved else self._run_away(history)) or self._growing(history)

    def _run_away(self, history: History) -> Finding | None:
        """Values beyond their targets, or targets beyond any return."""
        values, targets = history.series("value_abs_max"), history.series("target_abs_max")
        ratio = values / np.fmax(targets, 1e-9)
        recent = ratio[-self.rows :][np.isfinite(ratio[-self.rows :])]
        if recent.size and recent.min() > self.beyond and _grows(values[-self.rows :]):
            since = history.find_onset(ratio > self.beyond, self.rows)
            seen = f"values are {np.median(recent):.3g} times their targets and grow"
            return self._finding(history, since, seen)
        possible = _largest_possible(history)
        over = targets / possible
        recent = over[-self.rows :][np.isfinite(over[-self.rows :])]
        if recent.size and recent.min() > self.reach and _grows(targets[-self.rows :]):
            since = history.find_onset(over > self.reach, self.rows)
            seen = f"targets are {np.median(recent):.3g} times the largest return there can be"
            return self._finding(history, since, f"{seen} and grow")
        return None

    def _growing(self, history: History) -> Finding | None:
        """A value loss out of all proportion to what it was, and to the returns."""
        errors, third = _relative(history), math.ceil(len(history) / 3)
        early, late = _ends(errors)
        exploded = late > self.explosion * early
        limit = (self.explosion if exploded else self.growth) * early
        if not late > limit or not (exploded or _grows(errors[-third:])):
            return None
        since = history.find_onset(errors > limit, third)
        seen = f"the value loss grew {late / early:.3g} times relative to the squared returns"
        return self._finding(history, since, seen, "stop" if exploded else "warn")

    def _finding(
        self, history: History, since: int, seen: str, severity: Severity = "stop"
    ) -> Finding:
        if history.improved:
            return Finding(self.symptom, "warn", since, seen)
        evidence = f"{seen} and the score has not improved"
        return Finding(self.symptom, severity, since, evidence)


def _grows(values: FloatArray) -> bool:
    return kendall_tau(values[np.isfinite(values)]) > 0


def _largest_possible(history: History) -> FloatArray:
    """The largest return [R] that the rewards and lengths so far allow; NaN where cut off."""
    length = np.fmax(history.series("running_length_max"), history.series("episode_length"))
    sizes = [history.series("reward_abs_max") * length]
    sizes += [np.abs(history.series(name)) for name in ("return_max", "return_min")]
    size = np.nan_to_num(np.fmax(np.fmax(*sizes[:2]), sizes[2]), posinf=0.0)
    possible = np.maximum.accumulate(size)
    ends = (history.series("truncated_fraction") == 0) & (possible > 0)
    return np.where(ends, possible, np.nan)


def _relative(history: History) -> FloatArray:
    """The value loss [R] over the square of the largest return so far; NaN before there is one.

    The loss itself where returns are not known, unless it may rightly grow with them.
    """
    name = "return_mean" if history.has("return_mean") else "return_mean_100"
    if not (history.has(name) or history.improved):
        return history.series("value_loss")
    size = np.abs(np.nan_to_num(history.series(name), posinf=0.0, neginf=0.0))
    largest = np.maximum.accumulate(size)
    return history.series("value_loss") / np.where(largest > 0, largest, np.nan) ** 2


def _ends(errors: FloatArray) -> tuple[float, float]:
    """Median of the first three rows and of the last third; NaN if there is too little."""
    known = errors[np.isfinite(errors)]
    if known.size < 6 or np.median(known[:3]) <= 0:
        return math.nan, math.nan
    return float(np.median(known[:3])), float(np.median(known[-math.ceil(known.size / 3) :]))
