"""Do the agents of a game leave it at their end?"""

from __future__ import annotations

import time
from typing import Any

import gymnasium

from envs.agents import AgentView
from envs.checking.violations import Clock, Violation

GAMES, STEPS = 8, 1000
"""Games that are played at most, and steps of each."""
PATIENCE = 4
"""Steps with agents that have all ended after which a game is taken to have no end."""


def find_kept_agent(
    env: gymnasium.Env[Any, Any], seconds: float, clock: Clock = time.monotonic
) -> Violation | None:
    """Play games at random; return a violation if an agent stays in one after its end.

    A reason to stop if all agents have ended and some stay: training starts a game anew only when
    its last agent has left.
    """
    view, deadline = env.unwrapped, clock() + seconds
    if not isinstance(view, AgentView):
        return None
    for seed in range(GAMES):
        view.reset(seed=seed)
        ended: set[Any] = set()
        kept, stuck, step = "", 0, 0
        while view.game.agents and step < STEPS and stuck < PATIENCE and clock() < deadline:
            view.play({})
            step += 1
            ended |= view.ended
            staying = [str(agent) for agent in view.game.agents if agent in view.ended]
            if staying and not kept:
                kept = (
                    f"{' and '.join(staying)} of {view.name} ended at step {step} of a game, but "
                    f"stayed in `agents`, which was {list(view.game.agents)} after it"
                )
            stuck += bool(view.game.agents) and ended.issuperset(view.game.agents)
        if kept:
            is_stuck = stuck == PATIENCE
            kept += "; when all had ended, no new game began" * is_stuck
            return Violation("agent_kept", kept, severity="stop" if is_stuck else "warn")
    return None
