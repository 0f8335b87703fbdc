"""Rule ``value_divergence``: the value function runs away from the returns it should predict."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule
from tune_jobs.health.improvement import FloatArray, kendall_tau


@dataclasses.dataclass(frozen=True)
class ValueDivergence(Rule):
    """Values or their targets grow beyond all reason, or the value loss out of all proportion.

    A value loss grows rightly with the square of the returns (CartPole's is five times its first
    after a while), so it is judged relative to them; in healthy runs it then ended at no more than
    1.29 times its beginning. Where episodes end by themselves no return can be more than the
    largest reward times the longest episode: targets beyond that are made of the values they
    bootstrap from. (Where a time limit cuts episodes off, what would have followed counts too: the
    targets are not judged.) The score must not have improved.

    Warm-up: ``rows`` rows. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "value_divergence"
    needs: ClassVar[tuple[str, ...]] = ("value_loss", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "a discount of 1 (or more) in episodes that do not end",
        "a learning rate that is too high for the value function",
        "a value bootstrapped from itself: truncation treated as if nothing followed, or a stale "
        "target",
    )
    remedy: ClassVar[str] = (
        "Lower `gamma=0.99` and `lr=1e-4`, scale the rewards to returns of 1 to 100, and see that "
        "the environment tells truncated from terminated."
    )

    growth: Annotated[float, Positive] = 1000.0
    """Value loss of the last third over that of the first rows, relative to the returns' square."""
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
        if not history.past(self.rows, 0.0) or history.improved is not False:
            return None
        values, targets = history.series("value_abs_max"), history.series("target_abs_max")
        ratio = values / np.fmax(targets, 1e-9)
        recent = ratio[-self.rows :][np.isfinite(ratio[-self.rows :])]
        if recent.size and recent.min() > self.beyond and _grows(values[-self.rows :]):
            since = history.since(ratio > self.beyond, self.rows)
            seen = f"values are {np.median(recent):.3g} times their targets and grow"
            return self._finding(since, seen)
        possible = _largest_possible(history)
        over = targets / possible
        recent = over[-self.rows :][np.isfinite(over[-self.rows :])]
        if recent.size and recent.min() > self.reach and _grows(targets[-self.rows :]):
            since = history.since(over > self.reach, self.rows)
            seen = f"targets are {np.median(recent):.3g} times the largest return there can be"
            return self._finding(since, f"{seen} and grow")
        errors = _relative(history)
        early, late = _ends(errors)
        if not late > self.growth * early:
            return None
        since = history.since(errors > self.growth * early, math.ceil(len(history) / 3))
        return self._finding(since, f"the value loss grew {late / early:.3g} times")

    def _finding(self, since: int, seen: str) -> Finding:
        evidence = f"{seen} and the score has not improved"
        return Finding(self.symptom, "stop", since, evidence, self.remedy)


def _grows(values: FloatArray) -> bool:
    return kendall_tau(values[np.isfinite(values)]) > 0


def _largest_possible(history: History) -> FloatArray:
    """The largest return [R] that the rewards and lengths so far allow; NaN where cut off."""
    length = np.fmax(history.series("running_length_max"), history.series("episode_length"))
    sizes = [history.series("reward_abs_max") * length]
    sizes += [np.abs(history.series(name)) for name in ("return_max", "return_min")]
    size = np.nan_to_num(np.fmax(np.fmax(*sizes[:2]), sizes[2]), posinf=0.0)
    possible = np.maximum.accumulate(size)
    ends = (history.series("truncated_share") == 0) & (possible > 0)
    return np.where(ends, possible, np.nan)


def _relative(history: History) -> FloatArray:
    """The value loss [R], over the square of the largest returns so far where they are known."""
    name = "return_mean" if history.has("return_mean") else "return_mean_100"
    size = np.abs(np.nan_to_num(history.series(name), posinf=0.0, neginf=0.0))
    return history.series("value_loss") / np.maximum.accumulate(np.fmax(size, 1.0)) ** 2


def _ends(errors: FloatArray) -> tuple[float, float]:
    """Median of the first three rows and of the last third; NaN if there is too little."""
    known = errors[np.isfinite(errors)]
    if known.size < 6 or np.median(known[:3]) <= 0:
        return math.nan, math.nan
    return float(np.median(known[:3])), float(np.median(known[-math.ceil(known.size / 3) :]))
