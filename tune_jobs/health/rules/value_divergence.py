"""Rule ``value_divergence``: the value function diverges from the returns it predicts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.improvement import FloatArray, kendall_tau
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, at_most, lower
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class ValueDivergence(Rule):
    """Values, their targets or the value loss grow far beyond the returns.

    A value loss grows with the square of the returns (CartPole's becomes five times its first), so
    it is judged relative to them: at any row, 43 logs of healthy runs of SB3 and RLlib were at no
    more than 4.3 times their beginning. An agent may learn for a while on diverging values (DQN
    with a discount of 1.2 reached 100 in CartPole before it lost everything): there a loss that
    still grows gives a warning although the score has improved.

    Where episodes end by themselves no return can be larger than the largest reward times the
    longest episode: targets above that consist of the values they bootstrap from. (Where a time
    limit truncates episodes, the value of the final observation counts too: the targets are not
    judged.) For this, and for a stop, the score must not have improved.

    Warm-up: ``rows`` rows. NaN policy: rows without a number are left out, as are errors before
    the first return.
    """

    symptom: ClassVar[str] = "value_divergence"
    needs: ClassVar[tuple[str, ...]] = ("value_loss", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "a discount of 1 (or more) in episodes that do not end",
        "a learning rate that is too high for the value function",
        "a value bootstrapped from itself: truncation treated as the end, or a stale target",
    )
    remedy: ClassVar[Remedy] = (
        at_most("gamma", 0.99),
        lower("lr", 1e-4),
        SCALED_REWARDS,
        "check that the environment separates truncated from terminated",
    )

    growth: Annotated[float, Positive] = 30.0
    """Value loss of the last third over that of the first rows, relative to the squared returns,
    above which a loss that still grows gives a warning."""
    explosion: Annotated[float, Positive] = 1000.0
    """The same, above which it need not grow any more and may end a run."""
    beyond: Annotated[float, Positive] = 10.0
    """Largest value over largest target in size above which an iteration is sick."""
    reach: Annotated[float, Positive] = 2.0
    """Largest target over the largest possible return above which an iteration is sick; 20
    healthy runs of PPO and REINFORCE on six environments: 1.01 at most."""
    rows: Annotated[int, AtLeastOne] = 8
    """Rows before the rule judges; also the number of last iterations that are compared."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when values exceed their targets or the value loss explodes."""
        if history.improved is None:
            return None
        # Sizes alone are no fault in a run that learns: the scale of its returns may still grow.
        runaway = None if history.improved else self._judge_sizes(history)
        return runaway or self._judge_loss(history)

    def _judge_sizes(self, history: History) -> Finding | None:
        """Compare values with their targets, and targets with the largest possible return."""
        values, targets = history.series("value_abs_max"), history.series("target_abs_max")
        # The floor avoids a division by zero before the first reward, when all targets are zero.
        ratio = values / np.fmax(targets, 1e-9)
        recent = ratio[-self.rows :][np.isfinite(ratio[-self.rows :])]
        # Growth is required too: a fresh critic may be far above small targets and shrink to them.
        if recent.size and recent.min() > self.beyond and _grows(values[-self.rows :]):
            since = history.find_onset(ratio > self.beyond, self.rows)
            seen = f"values are {np.median(recent):.3g} times their targets and grow"
            return self._report(history, since, seen)
        over = targets / _bound_returns(history)
        recent = over[-self.rows :][np.isfinite(over[-self.rows :])]
        if recent.size and recent.min() > self.reach and _grows(targets[-self.rows :]):
            since = history.find_onset(over > self.reach, self.rows)
            seen = f"targets are {np.median(recent):.3g} times the largest possible return"
            return self._report(history, since, f"{seen} and grow")
        return None

    def _judge_loss(self, history: History) -> Finding | None:
        """Compare the value loss, relative to the returns, with its beginning."""
        errors, third = _compute_relative_loss(history), math.ceil(len(history) / 3)
        early, late = _compute_ends(errors)
        exploded = late > self.explosion * early
        # Beyond a factor of 1000 the loss may have reached its ceiling, so it need not grow any
        # more.
        limit = (self.explosion if exploded else self.growth) * early
        if not late > limit or not (exploded or _grows(errors[-third:])):
            return None
        since = history.find_onset(errors > limit, third)
        seen = f"the value loss grew {late / early:.3g} times relative to the squared returns"
        return self._report(history, since, seen, "stop" if exploded else "warn")

    def _report(
        self, history: History, since: int, seen: str, severity: Severity = "stop"
    ) -> Finding:
        if history.improved:
            return self.report("warn", since, seen)
        return self.report(severity, since, f"{seen} and the score has not improved")


def _grows(values: FloatArray) -> bool:
    return kendall_tau(values[np.isfinite(values)]) > 0


def _bound_returns(history: History) -> FloatArray:
    """Return an upper bound of the returns [R] so far; NaN where episodes are truncated."""
    length = np.fmax(history.series("running_length_max"), history.series("episode_length"))
    sizes = [history.series("reward_abs_max") * length]
    sizes += [np.abs(history.series(name)) for name in ("return_max", "return_min")]
    size = np.nan_to_num(np.fmax(np.fmax(*sizes[:2]), sizes[2]), posinf=0.0)
    # The largest so far: a target may still consist of values learnt from earlier, larger returns.
    bound = np.maximum.accumulate(size)
    ends = (history.series("truncated_fraction") == 0) & (bound > 0)
    return np.where(ends, bound, np.nan)


def _compute_relative_loss(history: History) -> FloatArray:
    """Return the value loss [R] over the squared largest return so far; NaN before there is one.

    Of standardised values, whose loss is relative to the returns as it is, it is the loss itself.
    So it is without any return, unless an improving score may explain its growth.
    """
    if history.settings.get("normalise_values") is True:
        return history.series("value_loss")
    name = history.return_name
    if not (history.has(name) or history.improved):
        return history.series("value_loss")
    size = np.abs(np.nan_to_num(history.series(name), posinf=0.0, neginf=0.0))
    # Relative to the largest return so far: a run that collapses would otherwise divide old errors
    # by returns near zero.
    largest = np.maximum.accumulate(size)
    return history.series("value_loss") / np.where(largest > 0, largest, np.nan) ** 2


def _compute_ends(errors: FloatArray) -> tuple[float, float]:
    """Return the medians of the first three rows and of the last third; NaN if too few."""
    known = errors[np.isfinite(errors)]
    if known.size < 6 or np.median(known[:3]) <= 0:
        return math.nan, math.nan
    return float(np.median(known[:3])), float(np.median(known[-math.ceil(known.size / 3) :]))
