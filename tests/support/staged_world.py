# pyright: basic
"""A world with a curriculum: in stage s the arm to pull is s, and one pull is an episode."""

import dataclasses

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.contract.pytree import Keys
from envs.contract.world import Stage, Step, World


@dataclasses.dataclass(frozen=True)
class Params:
    stages: int = 3


@dataclasses.dataclass(frozen=True)
class State:
    keys: Keys
    stage: np.ndarray
    step: np.ndarray


class Ladder(World[State]):
    params_type = Params
    episode_metrics = ("won", "stage")
    score_metric, score_mode = "won", "max"
    choice_names = ("0", "1", "2")
    observation_space = spaces.Box(0, 3, (1,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, params):
        super().__init__(params)
        self.baselines = {}
        self.stages = tuple(Stage(f"arm {i}", 0.8, 40) for i in range(params.stages))

    def reset(self, keys):
        state = State(keys, np.full(len(keys), self.stage), np.zeros(len(keys), np.int64))
        return state, self._seen(state)

    def step(self, state, action):
        won = (action == state.stage).astype(np.float32)
        over, not_over = np.ones(len(won), bool), np.zeros(len(won), bool)
        info = {"won": won, "stage": state.stage}
        return Step(state, self._seen(state), won, over, not_over, info)

    def summarise(self, episodes):
        return {"won": float(episodes["won"].mean())}

    def _seen(self, state):
        return state.stage[:, None].astype(np.float32)


gymnasium.register(
    "Ladder-v0",
    entry_point="envs.factory:make_single",
    vector_entry_point="envs.factory:make_vector",
    kwargs={"world": "staged_world:Ladder"},
)
