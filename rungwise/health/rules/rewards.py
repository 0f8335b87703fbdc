"""Rules for what is rewarded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rungwise.health.finding import Finding, Severity
from rungwise.health.history import SCORE, History
from rungwise.health.improvement import CONSTANT, BoolArray, FloatArray, is_constant, is_rising
from rungwise.health.remedy import WARM_START, increase, use
from rungwise.health.rule import Rule
from rungwise.validation import AtLeastOne, Fraction, NonNegative, Positive

FEWEST = 3
"""Returns that can be called constant, however short the budget."""


@dataclass(frozen=True)
class ZeroReward(Rule):
    """Hardly any episode is rewarded for several iterations; the score has not improved.

    The number of rewards per episode decides. The share of steps without a reward says nothing by
    itself: it is 86 % at the optimum of a task of seven steps that is paid at its end. So rows are
    sick where nearly no step is rewarded (the causal-learning post-mortem's limit) and most
    episodes are not. Rare rewards justify a warning where fewer than ``seldom`` of the episodes
    have any, and a note from there on: 17 % of them are enough to learn from. The rule asks for a
    stop only where no finished episode had any reward, and only from ``stop_from`` on: healthy runs
    were flat for up to 41 % of their length. Where the fraction of rewarded episodes rises, the
    finding is a note.
    Where all of at least three trials of a sweep have it and no step of any trial was rewarded,
    waiting is useless: then the sweep stops a trial before ``stop_from``.
    """

    symptom = "zero_reward"
    title = "Almost no step is rewarded"
    needs = ("zero_reward_fraction", SCORE)
    stagnant_only = True
    warm_up = "`episodes` finished episodes (where they are counted) and `budget_fraction`"
    causes = (
        "the goal cannot be reached, or not within an episode",
        "the reward of the goal never reaches the agent",
        "the agent explores too little to find it",
    )
    remedy = (
        "check with a simple policy or by hand that the goal can be reached and is rewarded",
        increase("entropy_coef", 0.03, "then explore more: raise {}"),
        WARM_START,
    )

    zero_fraction: Annotated[float, Fraction] = 0.85
    """Fraction of steps without reward above which an iteration may be sick."""
    paid: Annotated[float, Positive] = 0.5
    """Rewards per episode from which an iteration is well, whatever that fraction."""
    seldom: Annotated[float, Fraction] = 0.05
    """Fraction of rewarded episodes below which rare rewards are a warning instead of a note."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations, all of which must be sick."""
    episodes: Annotated[int, NonNegative] = 50
    """Finished episodes before the rule judges."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    stop_from: Annotated[float, Fraction] = 0.5
    """Fraction of the budget from which it asks for a stop instead of a warning."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when all recent iterations had almost no reward."""
        sick = self._find_sick(history)
        is_logged = np.isfinite(history.series("zero_reward_fraction"))
        recent = sick[-self.rows :][is_logged[-self.rows :]]
        if not recent.size or not recent.all():
            return None
        if np.nansum(history.series("episodes")) < self.episodes and history.has("episodes"):
            return None
        zeros = history.recent("zero_reward_fraction", self.rows)
        rewarded = history.recent("rewarded_episode_fraction", self.rows)
        of_episodes = (
            f", {rewarded.mean():.0%} of the episodes had any reward," if rewarded.size else ""
        )
        return self.report(
            self._choose_severity(history),
            history.find_onset(sick, self.rows),
            f"{100 * zeros.mean():.3g}% of the steps had no reward in the last "
            f"{history.count_last(self.rows)} iterations{of_episodes} and the score "
            "has not improved",
        )

    def is_disproved(self, history: History) -> bool:
        """Return whether most episodes are rewarded now, though the score rises too late.

        The rule is silent in rows without a measurement, too, which disprove nothing.
        """
        return super().is_disproved(history) or self._is_paid(history)

    def _is_paid(self, history: History) -> bool:
        rewards = _count_rewards(history)[-self.rows :]
        return bool(np.nanmedian(rewards) >= self.paid) if np.isfinite(rewards).any() else False

    def _find_sick(self, history: History) -> BoolArray:
        """Return the iterations [R] in which nearly no step and no episode was rewarded."""
        rare = history.series("zero_reward_fraction") > self.zero_fraction
        # Without the length of episodes the number is NaN, and the fraction of steps decides.
        return rare & ~(_count_rewards(history) >= self.paid)

    def _choose_severity(self, history: History) -> Severity:
        rewarded = history.recent("rewarded_episode_fraction", len(history))
        recent = history.recent("rewarded_episode_fraction", self.rows)
        if is_rising(rewarded) or (recent.size and self.seldom <= recent.mean() < 1):
            return "note"
        # Without the fraction of rewarded episodes none may have been paid: then no stop.
        never = rewarded.size and not rewarded.any()
        return "stop" if never and history.budget_fraction_used >= self.stop_from else "warn"


def _count_rewards(history: History) -> FloatArray:
    """Return the rewarded steps per episode [R] in each iteration, NaN where not known."""
    return (1 - history.series("zero_reward_fraction")) * history.series("episode_length")


@dataclass(frozen=True)
class ConstantReward(Rule):
    """The mean return has been the same number since the first row.

    It needs only the return, so it also judges logs of other tools. A converged run is constant as
    well, but not from its first row on. A goal that is found late looks the same until it is found:
    of 156 published runs whose return was constant for 80 % of their length nine rose in the rest,
    of 61 with at least 50 scores that were constant for 90 % none. Hence ``stop_from``. Where steps
    without reward are counted, ``zero_reward`` reports a return of zero. A task that pays once, at
    its goal, has one return however soon it is reached: there the length of the episodes says
    whether the agent learns (:attr:`Progress.improved`). In self-play of zero sum the mean return
    is constant although that of each agent is not: nothing is reported.
    """

    symptom = "constant_reward"
    title = "Every episode has the same return, whatever the agent does"
    needs = (SCORE,)
    warm_up = (
        "`rows` rows, `episodes` finished episodes (where they are counted) and `budget_fraction`"
    )
    silence_disproves = True
    causes = (
        "the goal is never reached, so that every episode runs to its time limit",
        "the reward does not depend on the actions",
        "the reward never reaches the agent",
    )
    remedy = (
        "play an episode by hand or with a simple policy and check whether its return differs",
        increase("entropy_coef", 0.03, "then explore more: raise {}"),
        WARM_START,
    )

    spread: Annotated[float, NonNegative] = CONSTANT
    """Range of the returns, as a fraction of their size, up to which they count as one number."""
    rows: Annotated[int, AtLeastOne] = 10
    episodes: Annotated[int, NonNegative] = 50
    """Finished episodes before the rule judges."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    stop_from: Annotated[float, Fraction] = 0.9
    """Fraction of the budget from which it asks for a stop instead of a warning."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when no return has ever differed from the first."""
        # The whole run: one that has converged at the cap of the task ends constant as well.
        progress, returns = history.progress, history.progress.returns
        episodes = np.nansum(history.series("episodes"))
        if returns.size < max(FEWEST, min(self.rows, len(history)) / 2) or (
            episodes < self.episodes and history.has("episodes")
        ):
            return None
        if not is_constant(returns, self.spread) or progress.improved or progress.cancels:
            return None
        # One fault, one finding: `zero_reward` knows more about a return of zero.
        if not returns.any() and history.has("zero_reward_fraction"):
            return None
        return self.report(
            "stop" if history.budget_fraction_used >= self.stop_from else "warn",
            history.iteration(0),
            f"{progress.return_name} has been {returns[-1]:.6g} in all {returns.size} iterations",
        )


@dataclass(frozen=True)
class NoSuccess(Rule):
    """The success rate is zero in every iteration while rewards vary.

    In the shopping post-mortem shaping rewards were collected and nothing was bought. Where the
    rewards do not vary either, ``zero_reward`` is more specific. Success found late is normal, and
    an improving score may still lead there: then it only warns. A score that is flat is no more
    evidence here than for ``no_improvement``, hence ``stop_from``.
    """

    symptom = "no_success"
    title = "The agent is rewarded but has never solved the task"
    needs = ("success_rate", SCORE)
    warm_up = (
        "`episodes` finished episodes (`rows` rows where they are not counted) and "
        "`budget_fraction`"
    )
    silence_disproves = True
    causes = (
        "shaping rewards that pay more than the goal",
        "a goal that the present exploration does not reach",
        "success is never reported",
    )
    remedy = (
        "reduce all shaping rewards together to less than the reward of the goal",
        use(
            "warm_start",
            "begin with {} from a simple policy that succeeds, or with easier tasks",
            "begin with easier tasks",
        ),
        increase("entropy_coef", 0.03, "explore more: raise {}"),
    )

    episodes: Annotated[int, AtLeastOne] = 100
    """Finished episodes without a success before the rule judges."""
    rows: Annotated[int, AtLeastOne] = 30
    """Rows without a success before it judges where episodes are not counted."""
    budget_fraction: Annotated[float, Fraction] = 0.5
    """Fraction of the budget from which it warns."""
    stop_from: Annotated[float, Fraction] = 0.8
    """Fraction of the budget from which it asks for a stop, unless the score has improved."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when there has not been one success."""
        # Without any variation `zero_reward` and `constant_reward` are closer to the cause.
        if not _do_rewards_vary(history):
            return None
        rates = history.series("success_rate")
        has_rate = np.isfinite(rates)
        if not has_rate.any() or np.any(rates[has_rate] > 0):
            return None
        # Only rows that report a rate, and their episodes: others might have succeeded.
        if history.has("episodes"):
            episodes = float(np.nansum(np.where(has_rate, history.series("episodes"), 0.0)))
            enough, text = episodes >= self.episodes, f"none of {episodes:,.0f} episodes succeeded"
        else:
            rows = int(has_rate.sum())
            enough, text = rows >= self.rows, f"no episode succeeded in {rows:,} iterations"
        if not enough:
            return None
        late = history.budget_fraction_used >= self.stop_from
        return self.report(
            "stop" if late and history.progress.improved is False else "warn",
            history.iteration(0),
            f"{text}, although rewards vary",
        )


def _do_rewards_vary(history: History) -> bool:
    """Return whether rewards vary within iterations or between them."""
    spread = history.recent("reward_std", len(history))
    returns = history.progress.returns
    return bool(np.any(spread > 0)) or bool(returns.size and np.any(returns != returns[0]))
