"""Rule ``zero_reward``: almost no step is rewarded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.improvement import FloatArray, Rise
from tune_jobs.health.remedy import Remedy, increase
from tune_jobs.health.rule import Rule

_rises = Rise()


@dataclass(frozen=True)
class ZeroReward(Rule):
    """Nearly every step's reward is zero for several iterations; the score has not improved.

    The limit of 85 % is from the causal-learning post-mortem (89 % of its steps had no reward).
    Rare rewards alone justify no more than a warning: a task that is rewarded once per episode, and
    at random in 17 % of the episodes, looks like this for half of a run that learns it. So the rule
    asks for a stop only where no finished episode had any reward, and only from ``stop_from`` on:
    healthy runs were flat for up to 41 % of their length. Where the fraction of rewarded episodes
    rises, or about one step per episode is rewarded, the finding is a note.
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
        "begin with `warm_start`, or shape the reward",
    )

    zero_fraction: Annotated[float, Fraction] = 0.85
    """Fraction of steps without reward above which an iteration is sick."""
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
        # The minimum, so that one rewarded iteration is enough to be silent.
        zeros = history.recent("zero_reward_fraction", self.rows)
        if zeros.size == 0 or zeros.min() <= self.zero_fraction:
            return None
        if np.nansum(history.series("episodes")) < self.episodes and history.has("episodes"):
            return None
        rewarded = history.recent("rewarded_episode_fraction", len(history))
        recent = rewarded[-self.rows :]
        of_episodes = (
            f", {recent.mean():.0%} of the episodes had any reward," if recent.size else ""
        )
        sick = history.series("zero_reward_fraction") > self.zero_fraction
        return self.report(
            self._choose_severity(history, zeros, rewarded),
            history.find_onset(sick, self.rows),
            f"{zeros.mean():.0%} of the steps had no reward in the last {self.rows} iterations"
            f"{of_episodes} and the score has not improved",
        )

    def _choose_severity(
        self, history: History, zeros: FloatArray, rewarded: FloatArray
    ) -> Severity:
        length = history.recent("episode_length", self.rows)
        # Tasks that are paid at their end have about one reward per episode by design.
        once = length.size and 0.5 <= (1 - zeros.mean()) * length.mean() <= 1.5
        if once or _rises(rewarded):
            return "note"
        # Without the fraction of rewarded episodes it is unknown whether any was paid: then no
        # stop.
        never = rewarded.size and not rewarded.any()
        return "stop" if never and history.budget_fraction_used >= self.stop_from else "warn"
