# pyright: basic
"""The thoughts post-mortem re-enacted: its defects on purpose, so that they are found."""

import numpy as np

from algos.advantages import gae
from algos.reinforce import Reinforce


class PostMortem(Reinforce):
    """REINFORCE as the original had it.

    Defects 2, 3 and 4 of ISS-007: the log-probability is not that of the tokens of this thought;
    GAE runs over the batch as if it were time, never done and bootstrapped from its own value; and
    both are averaged before they are multiplied.
    """

    @staticmethod
    def compute_advantages(rollout, settings):
        """Advantages along the wrong axis."""
        rewards, values = rollout.rewards.T, rollout.values.T
        never = np.zeros_like(rollout.done.T)
        wrong = gae(rewards, values, values, never, settings.gamma, settings.lam).T
        right = Reinforce.compute_advantages(rollout, settings)
        flat = wrong.reshape(-1)[np.flatnonzero(rollout.valid.reshape(-1))]
        return right.with_columns(advantages=np.ascontiguousarray(flat, np.float32))

    @staticmethod
    def compute_loss_terms(forward, batch, settings, coefficients):
        """A policy term that does not hear which thought was worth what."""
        found = Reinforce.compute_loss_terms(forward, batch, settings, coefficients)
        other = {"choice": batch["choice"].roll(1, 0)}  # what was written elsewhere
        logp = forward["dist"].logp(other).mean()
        return found | {"policy": -logp * batch["advantages"].mean()}
