"""Rules for what the policy chooses, and for the discount and the thoughts behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

from rungwise.health.finding import SEVERITIES, Finding, Severity
from rungwise.health.history import SCORE, History
from rungwise.health.improvement import FloatArray, keep_finite, kendall_tau, median_of_finite
from rungwise.health.remedy import at_least, at_most, increase, put
from rungwise.health.rule import Rule
from rungwise.health.threshold_rule import LateWarning, ThresholdRule
from rungwise.validation import AtLeastOne, Fraction, NonNegative, Positive


@dataclass(frozen=True)
class Theatre(Rule):
    """The answer is as likely without the thought, or any other thought works as well.

    The thoughts post-mortem could not measure this, because it never removed the thoughts. Three
    comparisons of the answer's log-probability do: without a thought (the gain), with the thought
    of another context, and with random tokens of the same length (which gain whatever more compute
    alone gains). The trained run of the reference experiment gains 1.6 nats and loses more than
    that by shuffling; its two controls, frozen and rewarded at random, gain nothing. An answer that
    is known without a thought leaves nothing to gain and is not judged. A rising gain clears the
    run, and thinking is learnt late: the rule only warns while the score improves.
    """

    symptom = "theatre"
    title = "The answer does not depend on the thoughts before it"
    needs = ("log_p_with", "log_p_without", "log_p_shuffled", "log_p_random", SCORE)
    nan_policy = "rows without a comparison are left out of it"
    causes = (
        "a reward for the form of thoughts (length, coherence) instead of their effect",
        "a reader that cannot use thoughts, or was never trained to",
        "the answer is drawn before the thought, or without seeing it",
    )
    remedy = (
        "reward the gain itself (log p with minus without the thought)",
        "train the reader with a `warm_start` on useful thoughts",
        "remove bonuses for the form of thoughts",
    )

    gain: Annotated[float, NonNegative] = 0.1
    """Nats that the thought must add to the answer's log-probability."""
    lost_when_shuffled: Annotated[float, Fraction] = 0.5
    """Fraction of the gain that must be lost with the thought of another context."""
    random: Annotated[float, Fraction] = 0.1
    """Fraction of the gain that random tokens may have."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the gain above which it rises."""
    rows: Annotated[int, AtLeastOne] = 10
    """Number of last iterations whose medians are judged."""
    budget_fraction: Annotated[float, Fraction] = 0.3
    """Fraction of the budget from which it warns."""
    stop_from: Annotated[float, Fraction] = 0.6
    """Fraction of the budget from which it asks for a stop, unless the score has improved."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the answer would be as likely without these thoughts."""
        gains, losses, random = _compute_differences(history)
        finite = keep_finite(gains)
        if finite.size == 0 or -history.median("log_p_without", self.rows) <= self.gain:
            return None
        gain = median_of_finite(gains[-self.rows :])
        loss, by_random = (median_of_finite(x[-self.rows :]) for x in (losses, random))
        fault = self._describe_fault(gain, loss, by_random)
        if not fault or (gain <= self.gain and kendall_tau(finite) > self.tau):
            return None
        late = history.budget_fraction_used >= self.stop_from
        sick = (
            (gains <= self.gain)
            | (losses <= self.lost_when_shuffled * gains)
            | (random >= self.random * gains)
        )
        return self.report(
            "stop" if late and history.progress.improved is False else "warn",
            history.find_onset(sick, self.rows),
            f"{fault} (nats, last {history.count_last(self.rows)} iterations)",
        )

    def _describe_fault(self, gain: float, loss: float, random: float) -> str:
        """Return the fault these differences show, empty if none. A NaN is not judged."""
        if gain <= self.gain:
            return f"with the thought the answer is only {gain:.2g} more likely than without"
        if loss <= self.lost_when_shuffled * gain:
            return (
                f"the thought adds {gain:.2g}, and that of another context loses only "
                f"{loss:.2g} of it"
            )
        if random >= self.random * gain:
            return f"the thought adds {gain:.2g}, and random tokens add {random:.2g} as well"
        return ""


def _compute_differences(history: History) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the gain by the thought, its loss by shuffling, and the gain by random tokens [R]."""
    with_own, without = history.series("log_p_with"), history.series("log_p_without")
    shuffled, random = history.series("log_p_shuffled"), history.series("log_p_random")
    return with_own - without, with_own - shuffled, random - without


@dataclass(frozen=True)
class GammaTooLow(Rule):
    """Actions are credited with one or two steps of long episodes; the score has not improved.

    With a discount of gamma an action is credited with about the next 1 / (1 - gamma) steps: 100
    at 0.99. Where each step is a task by itself a discount of 0 is right, and then the run learns.
    """

    symptom = "gamma_too_low"
    title = "The discount hides most of an episode from its first steps"
    needs = ("gamma", "episode_length", SCORE)
    highest = "warn"
    stagnant_only = True
    causes = (
        "a discount written as 1 - gamma",
        "a discount left at zero from an experiment with single steps",
        "a search range that begins too low",
    )
    remedy = (at_least("gamma", 0.99),)

    gamma: Annotated[float, Fraction] = 0.5
    """Discount below which an action is credited with less than two steps."""
    length: Annotated[float, Positive] = 10.0
    """Median steps of an episode from which that is too few."""
    rows: Annotated[int, AtLeastOne] = 15

    def judge(self, history: History) -> Finding | None:
        """Return a warning when hardly more than the next reward counts."""
        gamma = history.latest("gamma")
        # In short episodes even a low discount covers most of the steps.
        length = history.median("episode_length", self.rows)
        if not (gamma < self.gamma and length >= self.length):
            return None
        return self.report(
            "warn",
            history.iteration(0),
            f"with a discount of {gamma:g} an action is credited with {1 / (1 - gamma):.2g} of the "
            f"{length:,.0f} steps of an episode, and the score has not improved",
        )


@dataclass(frozen=True)
class ActionClipping(ThresholdRule):
    """Nearly all sampled values are clipped to a bound, and the score has not improved.

    Clipped values have the same effect, so they carry no gradient about the reward. Always using a
    bound can be optimal (bang-bang control), hence the condition on the score. A policy that starts
    with mean 0 and standard deviation 1 has a third of its values outside bounds of 1.
    """

    symptom = "action_clipping"
    title = "Nearly all action values lie outside the action bounds"
    needs = ("action_clip_fraction", SCORE)
    highest = "warn"
    stagnant_only = True
    causes = (
        "an entropy bonus that widens the action distribution without limit",
        "action bounds that are small compared with a standard deviation of 1",
        "updates so large that the mean has left the bounds",
    )
    remedy = (
        at_most("entropy_coef", 0),
        "give the environment action bounds of -1 and 1 and rescale inside it",
        put("value_distribution", "beta", "use a bounded distribution ({})"),
    )
    threshold = "clip_fraction"
    sentence = (
        "{value:.0%} of the action values of the last {rows} iterations were outside the action "
        "bounds and the score has not improved"
    )

    clip_fraction: Annotated[float, Fraction] = 0.9
    """Fraction of values outside the bounds above which an iteration is sick."""


@dataclass(frozen=True)
class RangeUnused(LateWarning):
    """The values that the agent sets use less than a third of their range.

    The limit of 30 % is from the causal-optimising post-mortem. The best value may lie in the
    middle, so the score must not have improved, and the finding is a note until ``warn_from`` of
    the budget is used.
    """

    symptom = "range_unused"
    title = "The action values use only a small part of their range"
    needs = ("range_utilisation", SCORE)
    causes = (
        "a distribution that starts narrow around the middle and is not widened",
        "a penalty on large values",
        "a reward that does not depend on the value",
    )
    remedy = (
        increase("entropy_coef", 0.03),
        put("value_distribution", "bins", "draw from a grid: {}"),
        at_least("bins", 21),
        "check whether larger values are rewarded at all",
    )
    comparison, threshold = "<", "used_fraction"
    sentence = (
        "the values of the last {rows} iterations use {value:.0%} of their range and the score has "
        "not improved"
    )

    used_fraction: Annotated[float, Fraction] = 0.3
    """Fraction of the range below which an iteration is sick."""


@dataclass(frozen=True)
class ChoiceConcentration(Rule):
    """One choice is far more frequent than an even split, and the score has not improved.

    The measure is the excess over an even split among K choices, (fraction - 1/K) / (1 - 1/K): 60 %
    is a lot for one of five choices and little for one of two. The causal-learning post-mortem
    called 40 and 60 % sick, but the best known policy there takes one target in 59 % of the steps.
    So these two limits give a note and a warning. A stop needs 95 %, which no measured healthy run
    reached without improving. While the score tends upwards, or all recent scores are above the
    first, the finding is a note: the choice may be the right one.
    """

    symptom = "choice_concentration"
    title = "The policy takes one choice nearly always"
    needs = ("choice_fraction_max", SCORE)
    stagnant_only = True
    warm_up = "`rows` rows and `steps` environment steps"
    causes = (
        "this choice is rewarded without advancing the task",
        "the entropy bonus is too small",
        "the first updates were too large to recover from",
    )
    remedy = (
        increase("entropy_coef", 0.03),
        increase("diversity_coef", 0.1),
        "measure the reward of a policy that only takes this choice",
    )

    note: Annotated[float, Fraction] = 0.4
    """Excess over an even split above which the finding is a note."""
    warn: Annotated[float, Fraction] = 0.6
    """Excess above which it is a warning."""
    stop: Annotated[float, Fraction] = 0.95
    """Excess above which it asks for a stop."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards."""
    above: Annotated[float, Fraction] = 0.05
    """Relative distance of every recent score from the first that also counts as a rise."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations whose median is judged."""
    steps: Annotated[int, NonNegative] = 500
    """Environment steps before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when one choice has far more than an even split of the recent steps."""
        fraction = history.median("choice_fraction_max", self.rows)
        latest = _latest_fractions(history)
        # Logs of other tools may have the largest fraction alone: without the number of choices the
        # even split counts as 0, which makes the excess larger than it is.
        even = 1 / len(latest) if latest else 0.0
        # With a single choice the excess is 0/0, and there is nothing to concentrate on.
        if even == 1.0 or history.latest("env_steps") < self.steps:
            return None
        excess = (fraction - even) / (1 - even)
        beyond: list[Severity] = [s for s in SEVERITIES if excess > getattr(self, s)]
        if not beyond:
            return None
        rises = self._rises(history)
        excesses = (history.series("choice_fraction_max") - even) / (1 - even)
        which = f" (number {max(range(len(latest)), key=latest.__getitem__)})" if latest else ""
        return self.report(
            "note" if rises else beyond[-1],
            history.find_onset(excesses > self.note, self.rows),
            f"one choice{which} takes {fraction:.0%} of the steps in the last "
            f"{history.count_last(self.rows)} iterations and the score "
            + ("rises, but not yet beyond its noise" if rises else "has not improved"),
        )

    def _rises(self, history: History) -> bool:
        scores = history.progress.known_scores
        # The first score is a noisy start, so all recent ones must be above it.
        first, recent = scores[0], scores[1:][-self.rows :]
        above = recent.size == self.rows and recent.min() > first + self.above * abs(first)
        return bool(above) or history.progress.trend > self.tau


def _latest_fractions(history: History) -> Sequence[float]:
    """Return the fraction of each choice in the last row that has them, else an empty tuple."""
    for row in reversed(history.rows):
        fractions = row.get("choice_fractions")
        if isinstance(fractions, list | tuple):
            return cast("Sequence[float]", fractions)
    return ()
