"""Probe ``rewards``: is anything paid, and in what units?"""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_jobs.health.check.episode import Episode
from tune_jobs.health.check.outcome import Outcome
from tune_jobs.health.check.random_play import sample
from tune_jobs.health.check.subject import Subject

LARGE, HUGE = 1e3, 1e5
"""Returns of this size are remarkable; of that size the value function drowns (measured)."""
SMALL = 1e-3
"""Returns smaller than this are hardly noticed beside the entropy bonus."""
SCALE_REMEDY = "Multiply the rewards by a constant so that returns are between 1 and 100."


def rewards(subject: Subject, seconds: float) -> Outcome:
    """Range and scale of the rewards of random play."""
    outcome = Outcome()
    played = sample(subject, seconds).episodes
    outcome.figures = figures(played)
    told = Paid(played)
    if told.constant is not None:
        _nothing(outcome, told)
        return outcome
    sizes = np.abs(told.returns[told.returns != 0])
    size = float(np.median(sizes)) if sizes.size else 1.0
    if size > LARGE or size < SMALL:
        outcome.find(
            "reward_scale",
            "note" if SMALL <= size <= HUGE else "warn",
            f"the return of random play is {size:.3g} in size (median of those that are not 0)",
            SCALE_REMEDY,
        )
    return outcome


class Paid:
    """What episodes brought."""

    def __init__(self, episodes: list[Episode]) -> None:
        self.each = np.array([r for e in episodes for r in e.rewards])
        self.returns = np.array([e.total for e in episodes])
        lengths = {len(e.rewards) for e in episodes}
        same = self.each.size > 0 and np.ptp(self.each) == 0
        one = bool(same and (self.each[0] == 0 or len(lengths) == 1))
        self.constant: float | None = float(self.each[0]) if one else None
        """The only reward there was, where not even the lengths of episodes tell them apart."""


def figures(episodes: list[Episode]) -> dict[str, Any]:
    """Numbers about the rewards and returns of episodes."""
    paid = Paid(episodes)
    each, returns = paid.each, paid.returns
    return {
        "reward_min": float(each.min()),
        "reward_max": float(each.max()),
        "reward_mean": float(each.mean()),
        "reward_std": float(each.std()),
        "zero_share": float((each == 0).mean()),
        "distinct": len(np.unique(each)),
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std()),
        "return_min": float(returns.min()),
        "return_max": float(returns.max()),
    }


def _nothing(outcome: Outcome, paid: Paid) -> None:
    """Every reward was the same."""
    count = f"{len(paid.each)} steps of {len(paid.returns)} episodes of random play"
    if paid.constant == 0:
        outcome.find(
            "zero_reward",
            "warn",
            f"no reward was met: it was 0 in all {count}",
            "Check when step() pays; if the task is that hard, pay for progress towards it, begin "
            "episodes nearer to the goal, or start from a teacher (`warm_start`).",
        )
    else:
        outcome.find(
            "constant_reward",
            "warn",
            f"the reward was {paid.constant:g} in all {count}, which all had the same length: "
            "nothing tells a good episode from a bad one",
            "Pay for progress towards the goal, or raise the time limit until random play reaches "
            "it now and then.",
        )
