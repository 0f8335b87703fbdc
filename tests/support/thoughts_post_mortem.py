# pyright: basic
"""The thoughts post-mortem re-enacted: its defects on purpose, so that they are found."""

from dataclasses import replace

import numpy as np

from algos.reinforce import Reinforce, ReinforceObjective
from algos.rollouts.advantages import gae


class PostMortemObjective(ReinforceObjective):
    """REINFORCE as the original had it.

    Defects 2, 3 and 4 of ISS-007: the log-probability is not that of the tokens of this thought;
    GAE runs over the batch as if it were time, never done and bootstrapped from its own value; and
    both are averaged before they are multiplied.
    """

    def compute_advantages(self, rollout):
        """Advantages along the wrong axis."""
        settings = self.settings
        rewards, values = rollout.rewards.T, rollout.values.T
        never = np.zeros_like(rollout.done.T)
        wrong = gae(rewards, values, values, never, settings.gamma, settings.lam).T
        right = super().compute_advantages(rollout)
        flat = wrong.reshape(-1)[np.flatnonzero(rollout.valid.reshape(-1))]
        return right.with_columns(advantages=np.ascontiguousarray(flat, np.float32))

    def loss(self, forward, batch, coefficients):
        """A policy term that does not hear which thought was worth what."""
        healthy = super().loss(forward, batch, coefficients)
        other = {"choice": batch["choice"].roll(1, 0)}  # what was written elsewhere
        logp = forward["dist"].logp(other).mean()
        policy = -logp * batch["advantages"].mean()
        return replace(healthy, terms=healthy.terms | {"policy": policy})


class PostMortem(Reinforce):
    """The training loop with the original's objective."""

    objective_class = PostMortemObjective
