"""Is an action box much wider than the actions that are of any use?"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from envs.counter_rng import derive_seed
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.random_agents import Actor, Array
from tune_jobs.check.rollouts import Episode, EpisodePlan, play_plans
from tune_jobs.check.statistics import ROUNDING

SCALES = (1.0, 0.1, 0.01, 1e-3, 1e-4)
"""Fractions of the box from which a change is drawn."""
EPISODES, FEWEST = 64, 32
"""Changed episodes of each fraction, and the fewest from which something is said."""
FIRST, WINDOW = 50, 100
"""The change is in one of the first steps; the rewards of these steps are compared."""
GOLDEN = (5**0.5 - 1) / 2
"""Its multiples modulo 1 are spread as evenly as numbers can be."""
USELESS, HARDLY_USEFUL, USEFUL = 0.05, 0.15, 0.2
"""Fractions of the changes that bring more: at most from the whole box and from a tenth of it, at
least from a small part. Where good actions are spread over the box, about a third do; where any
action only costs, none do at any size."""


class ChangedActor:
    """Takes the same action in every step, and in one step one with another entry."""

    def __init__(
        self, space: spaces.Box, constant: Array, seed: int, scale: float, length: int
    ) -> None:
        rng = np.random.default_rng(derive_seed(seed, "changed action"))
        self.constant, self.left = constant, int(rng.integers(min(length, FIRST)))
        # One entry alone: of many that change together, the useless ones would hide the others.
        entry = np.unravel_index(rng.integers(constant.size), constant.shape)
        self.changed = constant.copy()
        # Evenly spread over the seeds: few draws may all lie near the constant action by chance.
        share = (seed + 0.5) * GOLDEN % 1
        far = space.low[entry] + share * (space.high[entry] - space.low[entry])
        self.changed[entry] += scale * (far - constant[entry])

    def act(self, columns: object) -> Any:
        """Return the action of the next step."""
        self.left -= 1
        return self.changed if self.left == -1 else self.constant


def measure_useful_scales(
    target: CheckTarget, constant: Array, seconds: float
) -> dict[float, float]:
    """Return the fraction of changes to a constant action that bring more, by their scale.

    From the same seeds, so that what differs is due to the change. Empty where there is too little
    time; it ends at the first scale that shows that the box is not too wide, or what is useful.
    """
    deadline = target.clock() + seconds
    plans = [EpisodePlan(seed, seed) for seed in range(EPISODES)]
    same = play_plans(target, plans, seconds / 4, WINDOW, constant=constant)
    lengths = {plan.seed: len(episode.rewards) for plan, episode in zip(plans, same, strict=False)}
    fractions: dict[float, float] = {}
    for scale in SCALES:

        def make_actor(space: Any, plan: EpisodePlan, scale: float = scale) -> Actor:
            return ChangedActor(space, constant, plan.seed, scale, lengths[plan.seed])

        left = deadline - target.clock()
        changed = play_plans(target, plans[: len(same)], left, WINDOW, make_actor=make_actor)
        if len(changed) < FEWEST:
            return {}
        pairs = zip(same, changed, strict=False)
        fractions[scale] = float(np.mean([_brings_more(*pair) for pair in pairs]))
        most = {1.0: USELESS, 0.1: HARDLY_USEFUL}.get(scale, USEFUL)
        if fractions[scale] >= most:
            break
    return fractions


def find_useful_scale(fractions: dict[float, float]) -> float | None:
    """Return the scale of the useful part of a box that is much too wide; None for other boxes."""
    scale = min(fractions, default=1.0)
    return scale if scale < 0.1 and fractions[scale] >= USEFUL else None


def _brings_more(same: Episode, changed: Episode) -> bool:
    gain = changed.episode_return - same.episode_return
    return gain > ROUNDING * max(abs(same.episode_return), abs(changed.episode_return))
