"""An environment of your own: a batched world with its own score and baselines.

In this directory::

    rungwise check environment:Heating-v0
    rungwise train --env environment:Heating-v0 --iterations 20

``python environment.py`` compares the two baselines without any training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs import BatchedVectorEnv, SingleEnv, Step, World
from envs.contract import counter_rng
from envs.contract.pytree import Array, Keys
from rungwise.validation import AtLeastOne, validate


@dataclass(frozen=True)
class Params:
    """Arguments of the environment: `--env-kwargs.steps 100` on the command line."""

    steps: Annotated[int, AtLeastOne] = 50
    """Length of an episode."""

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class State:
    """Everything about B copies; a step makes a new one."""

    keys: Array
    """[B] random keys: the same seed gives the same episode, whatever B is."""
    step: Array
    """[B] steps done."""
    error: Array
    """[B] degrees above the wanted temperature."""
    discomfort: Array
    """[B] mean absolute error so far."""


def switch_at_target(world: Any, state: State, keys: Keys) -> Array:
    """Heat if and only if it is too cold."""
    return (state.error < 0).astype(np.int64)


class Heating(World[State]):
    """Keep a room at the wanted temperature by switching its heating."""

    params_type = Params
    episode_metrics = ("discomfort",)
    score_metric, score_mode = "discomfort", "min"
    choice_names = ("off", "on")
    baselines = {
        "random": lambda world, state, keys: counter_rng.integers(keys, 2),
        "switch_at_target": switch_at_target,
    }

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, keys: Keys) -> tuple[State, Array]:
        zero = np.zeros(len(keys))
        error = counter_rng.normal(keys, ())
        state = State(keys, np.zeros(len(keys), np.int64), error, zero)
        return state, self.observe(state)

    def step(self, state: State, action: Array) -> Step[State]:
        noise = counter_rng.normal(counter_rng.fold(state.keys, state.step + 1), ())
        error = state.error + np.where(action == 1, 0.5, -0.5) + 0.2 * noise
        step = state.step + 1
        discomfort = state.discomfort + (np.abs(error) - state.discomfort) / step
        state = replace(state, step=step, error=error, discomfort=discomfort)
        done = step >= self.params.steps
        return Step(
            state,
            self.observe(state),
            reward=-np.abs(error).astype(np.float32),
            terminated=done,
            truncated=np.zeros_like(done),
            info={"discomfort": discomfort},
        )

    def observe(self, state: State) -> Array:
        # The time left is observed, because the end of an episode is termination here.
        columns = [state.error, state.step / self.params.steps]
        return np.stack(columns, axis=1).astype(np.float32)

    def summarise(self, episodes: Any) -> dict[str, float]:
        return {"mean": float(np.mean(episodes["discomfort"]))}


def make_env(**fields: Any) -> SingleEnv:
    return SingleEnv(Heating(Params(**fields)))


def make_vector_env(num_envs: int, **fields: Any) -> BatchedVectorEnv:
    return BatchedVectorEnv(Heating(Params(**fields)), num_envs)


gymnasium.register("Heating-v0", make_env, vector_entry_point=make_vector_env)


def main() -> None:
    world = Heating(Params())
    for name, agent in Heating.baselines.items():
        keys = counter_rng.make_keys(0, copies=256)
        state, _ = world.reset(keys)
        for _ in range(world.params.steps):
            action_keys = counter_rng.fold(keys, state.step)
            state = world.step(state, agent(world, state, action_keys)).state
        print(f"{name}: mean discomfort {state.discomfort.mean():.2f} over 256 episodes")


if __name__ == "__main__":
    main()
