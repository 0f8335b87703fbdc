"""Curriculum: the stages of a world, each of which begins when the previous one is mastered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from envs.contract.batched import BatchedVectorEnv, World
from rungwise.metrics import STAGE, STAGES_LEFT

Array = np.ndarray[Any, Any]


class Curriculum:
    """The current stage of a world's curriculum; part of every checkpoint.

    The next stage begins when the mean score of the last episodes that began in this one
    reaches its threshold. A world without stages stays in its only one.
    """

    def __init__(self, world: World[Any] | None) -> None:
        self.stages = world.stages if world else ()
        self.score_metric = world.score_metric if world else ""
        self.sign = -1.0 if world and world.score_mode == "min" else 1.0
        self.stage = 0
        self.recent: deque[float] = deque()

    def record_episodes(self, finished: Iterable[Mapping[str, Array]]) -> dict[str, float]:
        """Add the metrics of finished episodes, name -> [N]; return their stage and those left.

        Scores of episodes from an earlier stage, which end after the start of the next one, are not
        counted.
        """
        if not self.stages:
            return {}
        now = self.stage
        for episodes in finished:
            if self.score_metric in episodes:
                self.recent.extend(episodes[self.score_metric][episodes[STAGE] == now].tolist())
        last = self.stages[now]
        # Each stage has a window of its own length, so the deque has no fixed maxlen.
        while len(self.recent) > last.episodes:
            self.recent.popleft()
        mastered = (
            len(self.recent) == last.episodes
            and self.sign * (float(np.mean(self.recent)) - last.threshold) >= 0
        )
        if mastered and now + 1 < len(self.stages):
            self.stage += 1
            self.recent.clear()
        return {STAGE: now, STAGES_LEFT: len(self.stages) - 1 - now}

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"stage": self.stage, "recent": list(self.recent)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Load the state of a checkpoint."""
        self.stage, self.recent = state["stage"], deque(state["recent"])


def update_world(
    env: VectorEnv[Any, Any, Any] | None, stage: int, weights: Mapping[str, Any] | None
) -> None:
    """Move a batched world to a stage and give it the policy's weights, if there are any."""
    if isinstance(env, BatchedVectorEnv):
        world = env.world.at_stage(stage)
        env.world = world if weights is None else world.with_policy_weights(weights)
