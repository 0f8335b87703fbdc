"""Rules for how episodes end, and for how those of a group differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rungwise.health.finding import Severity
from rungwise.health.history import SCORE, History
from rungwise.health.improvement import FloatArray, is_constant
from rungwise.health.remedy import at_least, increase, put
from rungwise.health.rules.rewards import ConstantReward
from rungwise.health.threshold_rule import LateWarning, ThresholdRule
from rungwise.validation import AtLeastOne, Fraction, NonNegative


@dataclass(frozen=True)
class AlwaysTruncated(ThresholdRule):
    """Nearly all episodes were truncated, and the score has not improved.

    A note where all of them were, at the same length: tasks with a fixed horizon always end like
    this, and the metrics do not distinguish them from tasks whose goal is never reached.

    A warning where nothing is gained in them: no return, or fewer than ``seldom`` of the rows, has
    been above the lowest one. So end runs of language models whose completions are cut off before
    the answer that is paid. Where no return has ever differed it asks for a stop when
    ``constant_reward`` does, if an episode ended in each of the last rows. A run that is paid in
    spite of it has other returns.
    """

    symptom = "always_truncated"
    title = "Every episode ends at its time limit"
    needs = ("truncated_fraction", "episode_length", SCORE)
    stagnant_only = True
    causes = (
        "the goal is never reached within the time limit",
        "completions of a language model longer than their limit, or without an end",
        "the environment never returns terminated",
        "a time limit too short for the task",
    )
    remedy = (
        "if the task has a goal, check that a simple policy reaches it within the time limit",
        "lengthen the time limit (of completions in TRL max_completion_length, in verl "
        "max_response_length), and read some completions: do they end?",
        increase("entropy_coef", 0.03, "explore more: raise {}"),
        "a task with a fixed horizon needs no change",
    )
    statistic, comparison, threshold = "every", ">=", "truncated"
    sentence = (
        "in each of the last {rows} iterations {share} of the episodes were truncated after "
        "{length:,.0f} steps, and {gained}"
    )

    truncated: Annotated[float, Fraction] = 0.95
    """Fraction of truncated episodes from which an iteration is sick; all of them for a note."""
    spread: Annotated[float, NonNegative] = 1e-6
    """Relative difference between the mean lengths up to which they count as equal."""
    seldom: Annotated[float, Fraction] = 0.05
    """Fraction of rows with a return above the lowest below which it warns (as `zero_reward`)."""
    rows: Annotated[int, AtLeastOne] = 10
    budget_fraction: Annotated[float, Fraction] = 0.2
    stop_from: Annotated[float, Fraction] = ConstantReward.stop_from
    """Fraction of the budget from which it asks for a stop where no return has ever differed."""
    scores: Annotated[int, AtLeastOne] = 20
    """Number of returns before it asks for a stop: as many as of a rule that judges them alone."""

    def is_excused(self, history: History) -> bool:
        """Return whether an episode ended by itself, or earlier, in a run that has gained."""
        # A single episode that ends by itself proves that the task can end; but for the rounding of
        # means, lengths that differ do so, too.
        lengths = history.recent("episode_length", self.rows)
        if not lengths.size:
            return True
        every = history.recent("truncated_fraction", self.rows).min() >= 1
        equal = np.ptp(lengths) <= self.spread * lengths.max()
        return not (every and equal) and self._judge_returns(history)[0] == "note"

    def choose_severity(self, history: History, value: float) -> Severity:
        """Return a note where something was gained."""
        return self._judge_returns(history)[0]

    def describe(self, history: History) -> Mapping[str, object]:
        """Return the length of an episode, how many were truncated, and what was gained."""
        length = history.recent("episode_length", self.rows)[-1]
        least = history.recent(self.needs[0], self.rows).min()
        share = "all" if least >= 1 else f"at least {least:.0%}"
        return {"length": length, "share": share, "gained": self._judge_returns(history)[1]}

    def _judge_returns(self, history: History) -> tuple[Severity, str]:
        """Return the severity by what the episodes gained, and that in words."""
        returns = history.progress.returns
        if constant := ConstantReward()(history):
            late = history.budget_fraction_used >= self.stop_from and returns.size >= self.scores
            # The end of a single episode in the last rows is too little to end a run.
            every = history.recent(self.needs[0], self.rows).size == history.count_last(self.rows)
            return "stop" if late and every else "warn", constant.evidence
        # Where rewarded steps are counted, `zero_reward` knows more.
        if returns.size and not history.has("zero_reward_fraction"):
            lowest = returns.min()
            gained = returns > lowest + ConstantReward.spread * np.abs(returns).max()
            if 0 < gained.mean() < self.seldom and not gained[-self.rows :].any():
                count, of = np.count_nonzero(gained), returns.size
                name = history.progress.return_name
                return "warn", f"{name} was above {lowest:.6g} in {count} of {of}"
        return "note", "the score has not improved"


@dataclass(frozen=True)
class GroupsWithoutSignal(ThresholdRule):
    """All returns of most groups are equal, so no episode of a group is better than another.

    Such a group is left out of the update (the causal-optimising post-mortem trained on few
    others). A solved task has no signal either, so the score must not have improved. A run that
    starts at its optimum cannot be distinguished.

    The fraction is known as advantage collapse (arXiv 2605.21125). Some of it is normal: agents
    that act over many turns learn with 40 % of such groups (arXiv 2605.05802). An iteration may
    have four groups, of which none has a signal by chance: so a stop needs nearly all groups of the
    last third of the rows. Where no return has ever differed it waits as long as
    ``constant_reward``, which reports that: a goal that is found late looks the same.
    """

    symptom = "groups_without_signal"
    title = "In most groups all episodes have the same return"
    needs = ("group_signal", SCORE)
    stagnant_only = True
    causes = (
        "every episode of a group succeeds or every one fails: starts too easy or too hard",
        "a policy so deterministic that a group's episodes are copies of each other",
        "a reward with few distinct values, such as 0 and 1",
    )
    remedy = (
        increase("group_size", 16, "take more episodes from each start: raise {}"),
        at_least("num_envs", 32, "for that raise {}"),
        "mix starts of different difficulty and make the reward finer",
        increase("entropy_coef", 0.03, "keep the policy stochastic: raise {}"),
    )
    threshold, grades = "note", ("note", "warn", "stop")
    sentence = (
        "in {value:.0%} of the groups of the last {rows} iterations all returns are equal and the "
        "score has not improved"
    )

    note: Annotated[float, Fraction] = 0.75
    """Fraction of groups without signal above which it notes (the severest level of rldoctor)."""
    warn: Annotated[float, Fraction] = 0.9
    """Fraction above which it warns: an update then uses a tenth of the collected episodes."""
    stop: Annotated[float, Fraction] = 0.99
    """Fraction above which it asks for a stop: almost no episode is left to learn from."""
    budget_fraction: Annotated[float, Fraction] = 0.1
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards: then groups are being solved."""

    def convert(self, values: FloatArray) -> FloatArray:
        """Return the fraction [N] of groups without signal."""
        return 1 - values

    def is_excused(self, history: History) -> bool:
        """Return whether the score tends upwards, which its noise may hide for a while."""
        return history.progress.trend > self.tau

    def choose_severity(self, history: History, value: float) -> Severity | None:
        """Return the severity of its limit; a stop only where it has lasted."""
        severity = super().choose_severity(history, value)
        late = history.recent("group_signal", math.ceil(len(history) / 3))
        returns = history.progress.returns
        early = history.budget_fraction_used < ConstantReward.stop_from
        if severity == "stop" and (
            self.convert(late).mean() <= self.stop or (early and is_constant(returns))
        ):
            return "warn"
        return severity


@dataclass(frozen=True)
class NoProgressInEpisode(LateWarning):
    """The last steps of an episode are no better than its first.

    For environments in which an episode is a search (causal optimising compares the last three
    steps with the first three); only they report the metric. A policy that is optimal from its
    first step has no progress either, so the score must not have improved, and the finding is a
    note until ``warn_from`` of the budget is used.
    """

    symptom = "no_progress_in_episode"
    title = "Episodes end no better than they began"
    needs = ("episode_improvement", SCORE)
    causes = (
        "the observation does not contain the results of earlier steps",
        "a discount so low that exploring within an episode never pays",
        "the policy repeats one action",
    )
    remedy = (
        "put the results of earlier steps into the observation",
        at_least("gamma", 0.99, "raise {} (1 for short episodes)"),
        put("model", "set", "try {} where the observation consists of nodes"),
    )
    comparison, threshold = "<=", 0
    sentence = (
        "the end of an episode differs from its beginning by {value:.2g} over the last {rows} "
        "iterations and the score has not improved"
    )
