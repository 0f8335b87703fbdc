"""Rule ``zero_reward``: the agent sits on a plateau where almost no step is rewarded."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.improvement import FloatArray, Rise
from tune_jobs.health.remedy import Remedy, increase

_rises = Rise()


@dataclasses.dataclass(frozen=True)
class ZeroReward(Rule):
    """Nearly every step's reward is zero, for several iterations, and the score has not improved.

    The 85 % are those of the causal-learning post-mortem (89 % of its steps earned nothing). Rare
    rewards alone justify no more than a warning: a task that pays once an episode, and 17 % of the
    episodes at random, looks like this for half of a run that learns it. So it asks for a stop only
    where not one finished episode was rewarded with anything, and from ``stop_from`` on: measured
    healthy runs were flat for up to 41 % of their length. Where the share of rewarded episodes
    rises, or about one step an episode is rewarded, it is a note.
    Where all trials of a sweep, three or more, have it and not one step of any was paid anything,
    waiting is of no use: then it ends a trial before ``stop_from``.

    Warm-up: ``episodes`` finished episodes (where they are counted) and ``share_of_budget``.
    NaN policy: rows without the share are left out.
    """

    symptom: ClassVar[str] = "zero_reward"
    needs: ClassVar[tuple[str, ...]] = ("zero_reward_fraction", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "the goal cannot be reached, or not within an episode",
        "its reward never arrives",
        "the agent explores too little to meet it",
    )
    remedy: ClassVar[Remedy] = (
        "see with a simple rule or by hand that the goal can be reached and is paid",
        increase("entropy_coef", 0.03, "then explore more: raise {}"),
        "begin with `warm_start`, or shape the reward",
    )

    zero_fraction: Annotated[float, Fraction] = 0.85
    """Share of steps without reward above which an iteration is sick."""
    rows: Annotated[int, AtLeastOne] = 5
    """All of this many last iterations must be sick."""
    episodes: Annotated[int, NonNegative] = 50
    """Finished episodes before it judges."""
    share_of_budget: Annotated[float, Fraction] = 0.2
    """Share of the budget spent before it judges."""
    stop_from: Annotated[float, Fraction] = 0.5
    """Share of the budget from which it asks for a stop instead of a warning."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when all recent iterations are nearly without reward."""
        if (
            not history.is_warmed_up(self.rows, self.share_of_budget)
            or history.improved is not False
        ):
            return None
        share = history.recent("zero_reward_fraction", self.rows)
        if share.size == 0 or share.min() <= self.zero_fraction:
            return None
        if np.nansum(history.series("episodes")) < self.episodes and history.has("episodes"):
            return None
        since = history.find_onset(
            history.series("zero_reward_fraction") > self.zero_fraction, self.rows
        )
        rewarded = history.recent("rewarded_episode_fraction", len(history))
        recent = rewarded[-self.rows :]
        of_episodes = f", {recent.mean():.0%} of the episodes anything," if recent.size else ""
        return Finding(
            self.symptom,
            self._severity(history, share, rewarded),
            since,
            f"{share.mean():.0%} of the steps earned nothing in the last {self.rows} iterations"
            f"{of_episodes} and the score has not improved",
        )

    def _severity(self, history: History, share: FloatArray, rewarded: FloatArray) -> Severity:
        length = history.recent("episode_length", self.rows)
        once = length.size and 0.5 <= (1 - share.mean()) * length.mean() <= 1.5
        if once or _rises(rewarded):
            return "note"
        never = rewarded.size and not rewarded.any()
        return "stop" if never and history.budget_fraction_used >= self.stop_from else "warn"
