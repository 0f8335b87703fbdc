"""An episode of the check: what it is to be, and what happened."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an episode is to be."""

    seed: int
    """Of the environment."""
    actions: int
    """Seed of the actions: the same plan gives the same actions where the same are legal."""
    noise: int | None = None
    """Seed of the randomness after the start; None leaves that to the environment's own seed."""


@dataclasses.dataclass
class Episode:
    """What happened."""

    rewards: list[float] = dataclasses.field(default_factory=list[float])
    """One a step."""
    end: str = ""
    """``terminated``, ``truncated``, or empty where the episode was left before it ended."""
    seen: int = 0
    """Checksum of all observations."""

    @property
    def total(self) -> float:
        """The return."""
        return float(sum(self.rewards))
