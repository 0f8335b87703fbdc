"""A policy as a player, with its memory of the episodes in progress."""

from __future__ import annotations

from typing import Any

import torch

from algos.policy import Policy, State


class PolicyPlayer:
    """Acts in batches of episodes that begin together.

    Args:
        policy: the policy.
        greedy: the most likely actions instead of sampled ones.
        generator: draws the actions; None: torch's own.
    """

    def __init__(
        self, policy: Policy, *, greedy: bool, generator: torch.Generator | None = None
    ) -> None:
        self.policy, self.greedy, self.generator = policy, greedy, generator
        self.state: State | None = None

    def start_episodes(self, count: int) -> None:
        """Forget the episodes before; ``count`` new ones begin."""
        self.state = self.policy.initial_state(count)

    def __call__(self, world_state: Any, observations: Any, keys: Any) -> Any:
        """Return the actions [N] for observations [N]."""
        actions, self.state = self.policy.act_batch(
            observations, self.state, greedy=self.greedy, generator=self.generator
        )
        return actions
