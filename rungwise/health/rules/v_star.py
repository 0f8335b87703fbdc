"""Rules for V*, which A*-PO compares returns with, and for the advantages over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rungwise.health.finding import Finding
from rungwise.health.history import SCORE, History
from rungwise.health.remedy import SCALED_REWARDS, at_least, increase, lower, put
from rungwise.health.rule import Rule
from rungwise.health.threshold_rule import ByImprovement, ThresholdRule
from rungwise.validation import AtLeastOne, Fraction, NonNegative, Positive


@dataclass(frozen=True)
class VStarFewSamples(Rule):
    """Few samples per start make V* noise, and few starts are learnt by heart.

    From fewer than four samples V* is mostly luck: the paper takes eight, and four were enough with
    thousands of starts, over which the noise averages out. With 200 starts of a shop the training
    score rose to 91 of 100 and that on new products to 67; with 10,000 starts the latter was 74. A
    task may be so small that a few dozen starts are all there are, so such a number is only noted.
    """

    symptom = "v_star_few_samples"
    title = "V* rests on too few samples or on too few starts"
    needs = ("v_star_starts",)
    highest = "warn"
    warm_up = "none, as both are known before training"
    nan_policy = "not applicable"
    causes = ("`reference_samples` or `starts` set low to shorten stage 1",)
    remedy = (
        at_least("reference_samples", 8),
        at_least("num_envs", 32, "for that raise {}"),
        at_least("starts", 256),
    )

    fewest_samples: Annotated[int, AtLeastOne] = 4
    """Samples per start below which it warns."""
    fewest_starts: Annotated[int, AtLeastOne] = 32
    """Starts below which it warns."""
    learnt_by_heart: Annotated[int, AtLeastOne] = 256
    """Starts below which it notes that they may be learnt by heart (the post-mortem had 100)."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when there are fewer samples or starts than V* needs."""
        # Settings: NaN, and so without a finding, in logs of other tools that do not hold them.
        samples, starts = history.latest("reference_samples"), history.latest("starts")
        few: list[str] = []
        if samples < self.fewest_samples:
            few.append(f"{samples:.0f} of {self.fewest_samples} samples per start that V* needs")
        if starts < self.fewest_starts:
            few.append(f"{starts:.0f} of {self.fewest_starts} starts that a policy needs")
        if few:
            return self.report("warn", history.iteration(0), f"stage 1 has {' and '.join(few)}")
        if starts < self.learnt_by_heart:
            evidence = (
                f"stage 1 has {starts:.0f} starts: fewer than {self.learnt_by_heart} may be learnt "
                "by heart, which a score on held-out ones shows (`held_out_interval`)"
            )
            return self.report("note", history.iteration(0), evidence)
        return None


@dataclass(frozen=True)
class StageOneRule(ThresholdRule):
    """A rule for the starts that stage 1 has played so far; a run that has improved is healthy."""

    highest = "warn"
    warm_up = "`starts` starts, or all of them"
    statistic = "latest"
    by_improvement = ByImprovement(None, "warn", "warn")

    rows: Annotated[int, AtLeastOne] = 1
    starts: Annotated[int, AtLeastOne] = 32
    """Starts after which an unfinished stage 1 is judged."""

    def is_excused(self, history: History) -> bool:
        """Return whether stage 1 is at its beginning."""
        starts, remaining = (history.latest(f"v_star_starts{end}") for end in ("", "_left"))
        return starts < self.starts and remaining > 0

    def describe(self, history: History) -> Mapping[str, object]:
        """Return the numbers of starts and of samples."""
        k = history.latest("reference_samples")
        samples = f"{k:.0f} samples" if k > 1 else "samples"
        return {"starts": history.latest("v_star_starts"), "samples": samples}


@dataclass(frozen=True)
class VStarWithoutSuccess(StageOneRule):
    """No sample of nearly every start reached the goal: V* is the return of failing there.

    The policy then learns to fail a little better than its reference, and nothing points at the
    goal. Partial rewards may still lead there, so a run whose score has improved is healthy. Judged
    from the first batches of stage 1 on, which may take hours.
    """

    symptom = "v_star_without_success"
    title = "The reference succeeded from no start, so V* is too low"
    needs = ("v_star_failed_fraction", "v_star_starts")
    causes = (
        "a reference policy that cannot solve the task: no warm start, or one from a bad teacher",
        "starts that are too hard for it",
        "too few samples for a success that is rare",
    )
    remedy = (
        "let the reference succeed: `warm_start` from a simple policy, or easier starts",
        increase("reference_samples", 16),
        at_least("num_envs", 32, "for that raise {}"),
    )
    threshold = "failed_fraction"
    sentence = (
        "from {value:.0%} of {starts:,.0f} starts none of the reference's {samples} succeeded"
    )

    failed_fraction: Annotated[float, Fraction] = 0.99
    """Fraction of starts without a success above which V* is sick."""


@dataclass(frozen=True)
class AdvantagesFlat(StageOneRule):
    """V* equals the return of every sample, so the reference's advantages are all 0.

    Nothing that the reference does is better than anything else it does, and A*-PO starts as the
    reference. A run whose score has improved has found a difference and is healthy. Judged from the
    first batches of stage 1 on; with a single sample per start there is nothing to compare.
    """

    symptom = "advantages_flat"
    title = "All samples of nearly every start have the same return"
    needs = ("v_star_flat_fraction", "v_star_starts")
    causes = (
        "a reference so deterministic that its episodes from one start are copies of each other",
        "every sample fails or every one succeeds: starts too hard or too easy",
        "a reward with few distinct values, such as 0 and 1",
    )
    remedy = (
        "keep the reference stochastic: fewer `warm_start_epochs`, or a teacher that explores",
        increase("reference_samples", 16),
        at_least("num_envs", 32, "for that raise {}"),
        "mix starts of different difficulty and make the reward finer",
    )
    threshold = "flat_fraction"
    sentence = (
        "from {value:.0%} of {starts:,.0f} starts all samples of the reference had the same return"
    )

    flat_fraction: Annotated[float, Fraction] = 0.95
    """Fraction of starts without any difference above which stage 1 is sick."""

    def is_excused(self, history: History) -> bool:
        """Return whether stage 1 is at its beginning, or a sample can only equal itself."""
        return super().is_excused(history) or history.latest("reference_samples") == 1


@dataclass(frozen=True)
class VStarOptimistic(ThresholdRule):
    """Nearly all advantages over V* are negative: every action is discouraged alike.

    This happened in the shopping post-mortem. It is normal at the beginning, when the policy is
    still the reference whose best episodes defined V* (all of them, for ``v_star="max"``), and
    disappears as the policy learns; hence the warm-up and the condition on the score.
    """

    symptom = "v_star_optimistic"
    title = "V* is higher than the return of nearly every episode"
    needs = ("advantage_negative_fraction", "advantage_mean", SCORE)
    highest = "warn"
    stagnant_only = True
    causes = (
        "V* is the best of a few lucky episodes",
        "the reference earned shaping rewards that the policy no longer gets",
        "V* was computed for another environment or reward",
    )
    remedy = (
        put("v_star", "softmax", "use {} with a higher `v_star_beta`, or `v_star=mean`"),
        increase("v_star_beta", 1),
        increase("reference_samples", 16),
        at_least("num_envs", 32, "for that raise {}"),
    )
    threshold = "negative_fraction"
    sentence = (
        "{value:.0%} of the episodes of the last {rows} iterations had a return below V*, by "
        "{below:.3g} on average{v_star}, and the score has not improved"
    )

    negative_fraction: Annotated[float, Fraction] = 0.95
    """Fraction of negative advantages above which an iteration is sick."""
    beyond: Annotated[float, Positive] = 10.0
    """Standard deviations below zero from which the evidence states how far V* is off."""
    budget_fraction: Annotated[float, Fraction] = 0.2

    def is_excused(self, history: History) -> bool:
        """Return whether the mean is unknown, of which the evidence is made."""
        return np.isnan(history.median("advantage_mean", self.rows))

    def describe(self, history: History) -> Mapping[str, object]:
        """Return V* where the returns are known, and its distance where that is extreme."""
        mean, returns = history.median("advantage_mean", self.rows), history.latest("return_mean")
        text = f" (returns {returns:.3g}, V* {returns - mean:.3g})" if np.isfinite(returns) else ""
        spread = history.latest("advantage_std")
        if spread > 0 and -mean > self.beyond * spread:
            text += f", {-mean / spread:.3g} times the standard deviation of the advantages"
        return {"below": -mean, "v_star": text}


@dataclass(frozen=True)
class VStarPessimistic(Rule):
    """Nearly no advantage over V* is negative, or all of them are close to zero.

    Then every action is encouraged alike, or none is. A policy that has become better than its
    reference is above V* as it should be, so the score must not have improved.
    """

    symptom = "v_star_pessimistic"
    title = "V* is lower than the return of nearly every episode"
    needs = ("advantage_negative_fraction", "advantage_mean", SCORE)
    highest = "warn"
    stagnant_only = True
    causes = (
        "no episode of the reference ever succeeded, so that V* is the return of failing",
        "V* is the mean of the returns instead of the best possible return",
        "V* was computed for another environment or reward",
    )
    remedy = (
        "let the reference succeed: `warm_start` from a simple policy, or easier starts",
        increase("reference_samples", 16),
        at_least("num_envs", 32, "for that raise {}"),
        put("v_star", "softmax", "then use {}"),
        lower("v_star_beta", 0.5),
    )

    negative_fraction: Annotated[float, Fraction] = 0.05
    """Fraction of negative advantages below which an iteration is sick."""
    near_zero: Annotated[float, NonNegative] = 0.01
    """Size of mean and standard deviation below which advantages count as zero."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations, all of which must be sick."""
    budget_fraction: Annotated[float, Fraction] = 0.2

    def judge(self, history: History) -> Finding | None:
        """Return a warning when recently no episode was clearly worse than V*."""
        negative = history.series("advantage_negative_fraction")
        # fmax ignores NaN: where only one of the two is logged, that one decides.
        size = np.fmax(np.abs(history.series("advantage_mean")), history.series("advantage_std"))
        low, zero = negative < self.negative_fraction, size < self.near_zero
        is_finite = np.isfinite(negative[-self.rows :])
        if not is_finite.any() or not np.all((low | zero)[-self.rows :][is_finite]):
            return None
        mean = history.latest("advantage_mean")
        what = (
            "differ from V* by almost nothing"
            if zero[-1]
            else f"beat V* (the last by {mean:.3g} on average)"
        )
        return self.report(
            "warn",
            history.find_onset(low | zero, self.rows),
            f"all episodes of the last {history.count_last(self.rows)} iterations {what} and the "
            "score has not improved",
        )


@dataclass(frozen=True)
class AdvantageClipping(ThresholdRule):
    """More than half of the advantages exceed the clip limit.

    The limit of one half is from the shopping post-mortem. Only the sign of a clipped advantage is
    left. That is enough for slow learning, so a run whose score has improved gets a note.
    Normalised advantages rarely trigger the rule: at most 4 % of any sample lie beyond 5 standard
    deviations.
    """

    symptom = "advantage_clipping"
    title = "Most advantages are clipped and no longer differ in size"
    needs = ("advantage_clip_fraction", SCORE)
    highest = "warn"
    causes = (
        "advantages that are clipped without being normalised first",
        "rewards much larger than the clip limit",
        "V* far from all returns",
    )
    remedy = (
        put(
            "normalise_advantages",
            True,
            "normalise the advantages ({})",
            without=put("loss", "regression", "train by {}, which clips no advantage"),
        ),
        SCALED_REWARDS,
        "then look for `v_star_optimistic` and `v_star_pessimistic`",
    )
    threshold = "clip_fraction"
    # Early in a run large advantages are normal, as V* or the critic is still off.
    by_improvement = ByImprovement("note", "note", "warn")
    sentence = "{value:.0%} of the advantages of the last {rows} iterations were clipped{stagnant}"

    clip_fraction: Annotated[float, Fraction] = 0.5
    """Fraction of clipped advantages above which an iteration is sick."""

    def describe(self, history: History) -> Mapping[str, object]:
        """Return what the score has done."""
        stagnant = history.progress.improved is False
        return {"stagnant": " and the score has not improved" if stagnant else ""}
