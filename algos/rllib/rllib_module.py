"""The policy of one of RLlib's own algorithms: its RLModule between its connectors.

It offers what :class:`algos.policy.Policy` asks of a network, so that it is evaluated, served and
stored as our own policies are: settings as JSON, weights as safetensors, nothing pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
import tree
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from algos.models.frame_stack import StateLayout
from algos.rllib.rllib_algorithms import make_config, reshape_action
from rungwise.validation import InputError

Array = np.ndarray[Any, Any]


@final
class RLlibModule:
    """An RLModule with the connectors that its algorithm's env runners use.

    Args:
        algo: the algorithm, such as ``rllib/SAC``.
        settings: what differs from its defaults.
        observation_space: of one environment.
        action_space: of one environment.
        env_steps: environment steps of the training so far, by which some algorithms explore less.

    Raises:
        InputError: the algorithm cannot read these observations, or not act by these actions.
    """

    accepts_any_size = False
    observation_spaces: Mapping[str, spaces.Space[Any]] = {}

    def __init__(
        self,
        algo: str,
        settings: Mapping[str, Any],
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        env_steps: int = 0,
    ) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self.env_steps = env_steps
        config = make_config(algo, settings)
        single = (observation_space, action_space)
        named: Any = {
            INPUT_ENV_SINGLE_SPACES: single,
            INPUT_ENV_SPACES: tuple(batch_space(space) for space in single),
        }
        try:
            self._before: Any = config.build_env_to_module_connector(spaces=named, device="cpu")
            self._after: Any = config.build_module_to_env_connector(spaces=named)
            named[DEFAULT_MODULE_ID] = (self._before.observation_space, action_space)
            self.module: Any = config.get_rl_module_spec(spaces=named, inference_only=True).build()
        except Exception as error:  # RLlib raises many types
            # After an AttributeError RLlib tries a way of old, whose own error says nothing.
            cause = error.__context__ if "RLModuleConfig" in str(error) else error
            raise InputError(
                f"{algo} has no network for observations {observation_space} and actions "
                f"{action_space}: {' '.join(str(cause).split())}"
            ) from error
        self._initial: Any = tree.map_structure(
            np.asarray, self.module.get_initial_state() if self.module.is_stateful() else {}
        )

    @property
    def state_layout(self) -> StateLayout:
        """Shape and type of each state column; empty for a policy that remembers nothing."""
        parts = tree.flatten(self._initial)
        return {f"state.{i}": (part.shape, part.dtype) for i, part in enumerate(parts)}

    def initial_state(self, batch: int) -> dict[str, Array]:
        """Return the state columns [batch, ...] at the start of an episode."""
        layout = self.state_layout.items()
        return {name: np.zeros((batch, *shape), dtype) for name, (shape, dtype) in layout}

    def act(
        self,
        observations: object,
        state: Mapping[str, Array],
        generator: torch.Generator | None = None,
        *,
        greedy: bool = False,
    ) -> tuple[Any, dict[str, Array]]:
        """Return the environment actions for observations [B, ...], and the state [B, ...] after.

        An action that is not ``greedy`` is drawn as in training at the time of the checkpoint.
        """
        seed = int(torch.randint(2**62, (), generator=generator))
        rows = _count_rows(observations)
        each = iterate(batch_space(self.observation_space, rows), observations)
        episodes = [self._make_episode(row, state, index) for index, row in enumerate(each)]
        passed: dict[str, Any] = {
            "rl_module": self.module,
            "episodes": episodes,
            "explore": not greedy,
            "shared_data": {},
        }
        # RLlib draws from torch's global generator, whose state belongs to the caller.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            batch = self._before(batch={}, **passed)
            if greedy:
                acted = self.module.forward_inference(batch)
            else:
                acted = self.module.forward_exploration(batch, t=self.env_steps)
            acted = self._after(batch=acted, **passed)
        actions = acted.get(Columns.ACTIONS_FOR_ENV, acted[Columns.ACTIONS])
        after = [tree.flatten(row) for row in acted.get(Columns.STATE_OUT, ())]
        columns = {name: np.stack([row[i] for row in after]) for i, name in enumerate(state)}
        return reshape_action(batch_space(self.action_space, rows), actions), columns

    def _make_episode(
        self, observation: object, state: Mapping[str, Array], row: int
    ) -> SingleAgentEpisode:
        """Return an episode of which the connectors read the last observation and state."""
        episode = SingleAgentEpisode(
            observation_space=self.observation_space, action_space=self.action_space
        )
        episode.add_env_reset(observation)
        if state:
            # They read the state that the step before has left; the rest of it is not read.
            parts = [column[row] for column in state.values()]
            episode.add_env_step(
                observation,
                self.action_space.sample(),
                0.0,
                extra_model_outputs={Columns.STATE_OUT: tree.unflatten_as(self._initial, parts)},
            )
        return episode

    def get_state(self) -> dict[str, Array]:
        """Return a copy of the weights by name."""
        return self.module.get_state(inference_only=True)

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Load weights.

        Raises:
            ValueError: names that are missing or unknown, or weights of another shape.
        """
        expected = self.get_state()
        if {n: part.shape for n, part in expected.items()} != {
            n: p.shape for n, p in state.items()
        }:
            raise ValueError("These weights belong to another network.")
        # A critic that the network was built with stays as it is: acting does not ask it.
        weights = {name: torch.from_numpy(np.array(part)) for name, part in state.items()}
        self.module.load_state_dict(weights, strict=False)


def _count_rows(observations: object) -> int:
    """Return the length of a batch of observations [B, ...]."""
    return len(tree.flatten(observations)[0])
