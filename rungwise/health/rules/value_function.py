"""Rules for the value function and the scale of what it learns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rungwise.formatting import count
from rungwise.health.finding import Finding, Severity
from rungwise.health.history import SCORE, History
from rungwise.health.improvement import (
    FloatArray,
    is_constant,
    keep_finite,
    kendall_tau,
    median,
    quantile,
)
from rungwise.health.remedy import SCALED_REWARDS, at_most, increase, lower
from rungwise.health.rule import Rule
from rungwise.validation import AtLeastOne, Between, Fraction, Positive

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
    """

    symptom = "reward_scale"
    title = "Returns are so large or so small that learning suffers"
    needs = ("explained_variance", "value_loss", SCORE)
    highest = "warn"
    stagnant_only = True
    causes = (
        "rewards in the units of the domain (euros, metres, milliseconds)",
        "a penalty or a bonus much larger than all other rewards",
        "a sum over many steps where a mean was intended",
    )
    remedy = (SCALED_REWARDS, lower("value_coef", 0.01, "for large returns lower {}"))

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

    def judge(self, history: History) -> Finding | None:
        """Return a warning when returns are large or small and the value function fails."""
        if all(history.settings.get(name) is True for name in STANDARDISED):
            return None
        # Targets come first, because they are what the value function sees: returns may be logged
        # raw although the rewards are normalised.
        names = ("target_abs_max", "return_mean", "return_mean_100")
        name = next((name for name in names if history.has(name)), "")
        recent = np.abs(history.recent(name, self.rows))
        size = median(recent) if recent.size else 0.0
        # A small value loss at large returns: rewards are normalised inside the trainer.
        large = size > self.large and history.median("value_loss", self.rows) > self.error
        effect = self._describe_effect(history, large, 0 < size < self.tiny)
        if not (large or 0 < size < self.small) or not effect:
            return None
        # A trend at vast returns is no evidence of health: Adam learns a little at any scale.
        if history.progress.trend > self.tau and size < self.vast:
            return None
        sizes = np.abs(history.series(name))
        return self.report(
            "warn",
            history.find_onset((sizes > self.large) | (sizes < self.small), self.rows),
            f"{name} is {size:.3g} in size over the last {history.count_last(self.rows)} "
            f"iterations, {effect} and the score has not improved",
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


@dataclass(frozen=True)
class ValueDivergence(Rule):
    """Values, their targets or the value loss grow far beyond the returns.

    A value loss grows with the square of the returns (CartPole's becomes five times its first), so
    it is judged relative to them: at any row, 43 logs of healthy runs of SB3 and RLlib were at no
    more than 4.3 times their beginning. An agent may learn for a while on diverging values (DQN
    with a discount of 1.2 reached 100 in CartPole before it lost everything): there a loss that
    still grows gives a warning although the score has improved. So does a loss in a log without
    any return.

    Where episodes end by themselves no return can be larger than the largest reward times the
    longest episode: targets above that consist of the values they bootstrap from. (Where a time
    limit truncates episodes, the value of the final observation counts too: the targets are not
    judged.) For this, and for a stop, the score must not have improved.
    """

    symptom = "value_divergence"
    title = "The value function diverges from the returns it predicts"
    needs = ("value_loss", SCORE)
    nan_policy = "rows without a number are left out, as are errors before the first return"
    causes = (
        "a discount of 1 (or more) in episodes that do not end",
        "a learning rate that is too high for the value function",
        "a value bootstrapped from itself: truncation treated as the end, or a stale target",
    )
    remedy = (
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
    least: Annotated[float, Positive] = 0.05
    """Loss of standardised values, or without any return, below which a beginning counts as this.
    A tenth of what a constant has, 0.5: returns that are equal until the first success are
    predicted without error (1e-4 in Acrobot), so that a healthy loss grows two thousandfold."""
    beyond: Annotated[float, Positive] = 10.0
    """Largest value over largest target in size above which an iteration is sick."""
    reach: Annotated[float, Positive] = 2.0
    """Largest target over the largest possible return above which an iteration is sick; 20
    healthy runs of PPO and REINFORCE on six environments: 1.01 at most."""
    rows: Annotated[int, AtLeastOne] = 8
    """Rows before the rule judges; also the number of last iterations that are compared."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when values exceed their targets or the value loss explodes."""
        if history.progress.improved is None:
            return None
        # Sizes alone are no fault in a run that learns: the scale of its returns may still grow.
        runaway = None if history.progress.improved else self._judge_sizes(history)
        return runaway or self._judge_loss(history)

    def _judge_sizes(self, history: History) -> Finding | None:
        """Compare values with their targets, and targets with the largest possible return."""
        values, targets = history.series("value_abs_max"), history.series("target_abs_max")
        # The floor avoids a division by zero before the first reward, when all targets are zero.
        ratio = values / np.fmax(targets, 1e-9)
        recent = keep_finite(ratio[-self.rows :])
        # Growth is required too: a fresh critic may be far above small targets and shrink to them.
        if recent.size and recent.min() > self.beyond and _grows(values[-self.rows :]):
            since = history.find_onset(ratio > self.beyond, self.rows)
            evidence = f"values are {np.median(recent):.3g} times their targets and grow"
            return self._report(history, since, evidence)
        over = targets / _bound_returns(history)
        recent = keep_finite(over[-self.rows :])
        bounded = recent.size and (history.recent("truncated_fraction", self.rows) == 0).any()
        if bounded and recent.min() > self.reach and _grows(targets[-self.rows :]):
            since = history.find_onset(over > self.reach, self.rows)
            evidence = f"targets are {np.median(recent):.3g} times the largest possible return"
            return self._report(history, since, f"{evidence} and grow")
        return None

    def _judge_loss(self, history: History) -> Finding | None:
        """Compare the value loss, relative to the returns, with its beginning."""
        errors, third = _compute_relative_loss(history), math.ceil(len(history) / 3)
        early, late = _compute_ends(errors)
        standardised = history.settings.get("normalise_values") is True
        raw = not (standardised or history.has(history.progress.return_name))
        if standardised or raw:
            early = max(early, self.least)
        exploded = late > self.explosion * early
        # Beyond a factor of 1000 the loss may have reached its ceiling and grow no more.
        limit = (self.explosion if exploded else self.growth) * early
        if not late > limit or not (exploded or _grows(errors[-third:])):
            return None
        since = history.find_onset(errors > limit, third)
        evidence = f"the value loss grew {late / early:.3g} times"
        if not raw:
            evidence += " relative to the squared returns"
        # Without the returns, rewards that are found late explain a growth of any size.
        return self._report(history, since, evidence, "stop" if exploded and not raw else "warn")

    def _report(
        self, history: History, since: int, evidence: str, severity: Severity = "stop"
    ) -> Finding:
        if history.progress.improved:
            return self.report("warn", since, evidence)
        return self.report(severity, since, f"{evidence} and the score has not improved")


def _grows(values: FloatArray) -> bool:
    return kendall_tau(keep_finite(values)) > 0


def _bound_returns(history: History) -> FloatArray:
    """Return an upper bound of the returns [R] so far; NaN where episodes were truncated.

    NaN, too, where rewards are normalised. A row in which no episode ended has a bound: it can show
    that targets are in order, but only a row with ends can show that none was truncated.
    """
    if history.settings.get("normalise_rewards") is True:  # targets are in units of these
        return np.full(len(history), np.nan)
    length = np.fmax(history.series("running_length_max"), history.series("episode_length"))
    sizes = [history.series("reward_abs_max") * length]
    sizes += [np.abs(history.series(name)) for name in ("return_max", "return_min")]
    size = np.nan_to_num(np.fmax(np.fmax(*sizes[:2]), sizes[2]), posinf=0.0)
    # The largest so far: a target may still consist of values learnt from earlier, larger returns.
    bound = np.maximum.accumulate(size)
    unbounded = (history.series("truncated_fraction") > 0) | (bound <= 0)
    return np.where(unbounded, np.nan, bound)


def _compute_relative_loss(history: History) -> FloatArray:
    """Return the value loss [R] over the squared largest return so far; NaN before there is one.

    Of standardised values, whose loss is relative to the returns as it is, it is the loss itself.
    So it is without any return, unless an improving score may explain its growth.
    """
    name = history.progress.return_name
    if history.settings.get("normalise_values") is True:
        # Before the first reward there is nothing to predict, and hardly a loss.
        paid = np.logical_or.accumulate(np.nan_to_num(history.series(name)) != 0)
        return np.where(paid | ~paid.any(), history.series("value_loss"), np.nan)
    if not (history.has(name) or history.progress.improved):
        return history.series("value_loss")
    size = np.abs(np.nan_to_num(history.series(name), posinf=0.0, neginf=0.0))
    # The largest so far: a collapsing run would divide old errors by returns near zero.
    largest = np.maximum.accumulate(size)
    return history.series("value_loss") / np.where(largest > 0, largest, np.nan) ** 2


def _compute_ends(errors: FloatArray) -> tuple[float, float]:
    """Return the medians of the first three rows and of the last third; NaN if too few.

    A ratio of them needs a positive start; a loss of zero means that there was no reward yet.
    """
    finite = keep_finite(errors)
    if finite.size < 6 or median(finite[:3]) <= 0:
        return math.nan, math.nan
    return median(finite[:3]), median(finite[-math.ceil(finite.size / 3) :])


@dataclass(frozen=True)
class LowExplainedVariance(Rule):
    """The explained variance of the last two thirds of the rows is near zero without learning.

    Near zero alone flags 14 of 36 healthy runs: saturated returns leave no variance to explain.
    So either the score has not improved lately and does not tend upwards, or (a note only) the
    value loss has grown by more than ``growth``: at most 1.29 in healthy runs, 2.4 in one whose
    value function was not trained. By default the rule warns and never ends a run: a policy can
    learn without a critic.

    Below ``exploded`` in several rows whose scores differ it warns whatever the score does: healthy
    runs stay above -60. (Returns that differ by rounding alone have such a value, too.)

    It waits for half of the budget, as a critic has little to explain before something is learnt:
    of 200 trials on 40 environments 32 were warned from a fifth of it on, of which 11 rose later;
    from half of it on 21, of which 3 rose, by chance: nothing can be learnt in these.
    """

    symptom = "low_explained_variance"
    title = "The value function explains nothing of the returns"
    needs = ("explained_variance", SCORE)
    highest = "warn"
    nan_policy = (
        "NaN (all returns equal) is left out; no finding when fewer than half of the rows have a "
        "number"
    )
    causes = (
        "the observation does not contain what the return depends on",
        "rewards whose size is out of reach for the value function",
        "the value function learns too slowly or gets no gradient",
    )
    remedy = (
        "add to the observation what the return depends on (time left, goal)",
        SCALED_REWARDS,
        increase("value_coef", 1, "then raise {}"),
        increase("epochs", 8),
    )

    median: Annotated[float, Between(-1, 1)] = 0.05
    """Explained variance below which the median row is sick."""
    high: Annotated[float, Between(-1, 1)] = 0.2
    """Explained variance that the 90th percentile of the rows must not reach either."""
    growth: Annotated[float, Positive] = 2.0
    """Value loss of the last third over that of the first rows, for a run that has improved."""
    exploded: Annotated[float, Positive] = 1e6
    """Size of a negative explained variance from which the value function has diverged."""
    tau: Annotated[float, Fraction] = 0.3
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 15
    budget_fraction: Annotated[float, Fraction] = 0.5

    def judge(self, history: History) -> Finding | None:
        """Return a finding when it has exploded or even the better rows explain almost nothing."""
        return self._judge_size(history) or self._judge_level(history)

    def _judge_size(self, history: History) -> Finding | None:
        """Return a finding when the errors are a million times what there is to explain."""
        explained = history.series("explained_variance")
        sick = np.flatnonzero((explained < -self.exploded) & np.isfinite(explained))
        sick = sick[sick >= len(history) // 3]  # every critic begins by explaining nothing
        if not sick.size or is_constant(keep_finite(history.progress.scores[sick[0] :])):
            return None
        since = history.iteration(int(sick[0]))
        return self.report(
            "warn" if sick.size > 2 else "note",
            since,
            f"explained variance has fallen to {explained[sick].min():.2g}, and was below "
            f"-{self.exploded:.0e} in {count(sick.size, 'iteration')}, the first of them {since}",
        )

    def _judge_level(self, history: History) -> Finding | None:
        """Return a finding when even the better rows explain almost nothing."""
        if history.progress.improved is None:
            return None
        # The first third is left out, because every critic begins by explaining nothing.
        window = math.ceil(len(history) * 2 / 3)
        recent = history.recent("explained_variance", window)
        # Mostly NaN means that all returns are equal: there is no variance to explain.
        if recent.size < window / 2:
            return None
        late = median(recent)
        # The 90th percentile as well: a critic that is good in a tenth of the rows does learn.
        if late >= self.median or quantile(recent, 0.9) >= self.high:
            return None
        early, later = _compute_ends(history.series("value_loss"))
        growth = later / early
        # With learning, a low value is usually a saturated return. A growing loss is what separates
        # the two.
        # A run that learns has no fault but such a growth, and disproves an earlier finding.
        learns = self.is_disproved(history)
        if learns and not growth > self.growth:
            return None
        # Within the window: the score may have risen in its first rows, and stood still since then.
        stands = "the score has not improved meanwhile"
        reason = f"the value loss grew {growth:.1f} times" if learns else stands
        return self.report(
            "note" if learns else "stop",
            history.find_onset(history.series("explained_variance") < self.median, window),
            f"explained variance is {late:.2g} over the last {window} iterations and {reason}",
        )

    def is_disproved(self, history: History) -> bool:
        """Return whether the score has improved, if before a dip, or tends upwards."""
        return history.progress.has_improved_lately(self.rows) or history.progress.trend > self.tau
