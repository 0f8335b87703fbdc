"""An environment that begins in a handful of ways only: the tiny problem that must be learnable."""

from __future__ import annotations

from typing import Any

import gymnasium

ID = "RungwiseFixedStarts-v0"
STARTS = 4
"""Seeds that episodes begin with."""


class FixedStarts(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Every episode has one of the seeds 0 to ``starts`` - 1, drawn from the seed it is given."""

    def __init__(self, env: gymnasium.Env[Any, Any], starts: int) -> None:
        super().__init__(env)
        self.starts, self.next = starts, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """The next start in turn."""
        self.next = (self.next + 1 if seed is None else seed) % self.starts
        return self.env.reset(seed=self.next, options=options)


def make(env: str, env_kwargs: dict[str, Any], starts: int = STARTS) -> FixedStarts:
    """The environment of that id with fixed starts."""
    return FixedStarts(gymnasium.make(env, **env_kwargs), starts)


gymnasium.register(
    ID, entry_point=f"{__name__}:make", disable_env_checker=True, order_enforce=False
)
