"""Rule ``zero_reward``: almost no step is rewarded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.improvement import BoolArray, FloatArray, Rise
from tune_jobs.health.remedy import WARM_START, Remedy, increase
from tune_jobs.health.rule import Rule

_rises = Rise()


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

    Warm-up: ``episodes`` finished episodes (where they are counted) and ``budget_fraction``.
    NaN policy: rows without the metric are left out.
    """

    symptom: ClassVar[str] = "zero_reward"
    needs: ClassVar[tuple[str, ...]] = ("zero_reward_fraction", SCORE)
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "the goal cannot be reached, or not within an episode",
        "the reward of the goal never reaches the agent",
        "the agent explores too little to find it",
    )
    remedy: ClassVar[Remedy] = (
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
    """Fraction of the budget that must be used before the rule judges."""
    stop_from: Annotated[float, Fraction] = 0.5
    """Fraction of the budget from which it asks for a stop instead of a warning."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when all recent iterations had almost no reward."""
        sick = self._find_sick(history)
        known = np.isfinite(history.series("zero_reward_fraction"))
        recent = sick[-self.rows :][known[-self.rows :]]
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
            f"{zeros.mean():.0%} of the steps had no reward in the last {self.rows} iterations"
            f"{of_episodes} and the score has not improved",
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
        if _rises(rewarded) or (recent.size and self.seldom <= recent.mean() < 1):
            return "note"
        # Without the fraction of rewarded episodes it is unknown whether any was paid: then no
        # stop.
        never = rewarded.size and not rewarded.any()
        return "stop" if never and history.budget_fraction_used >= self.stop_from else "warn"


def _count_rewards(history: History) -> FloatArray:
    """Return the rewarded steps per episode [R] in each iteration, NaN where not known."""
    return (1 - history.series("zero_reward_fraction")) * history.series("episode_length")
