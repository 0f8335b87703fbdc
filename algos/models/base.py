"""Base of policy networks: an action distribution and a value in one forward pass."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, ClassVar, Self

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from ray.rllib.core.rl_module.apis import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from algos.actions.array_backend import Array
from algos.actions.head import ActionDistribution
from algos.actions.kinds import make_action_head
from algos.actions.numpy_actions import Action
from algos.actions.topk import log_probabilities
from algos.models.frame_stack import FrameStack, StateLayout
from algos.models.normaliser import RunningMoments, make_observation_normaliser
from rungwise.validation import InputError

OBSERVATION = "obs"
"""Column of a plain observation; the parts of a Dict observation are ``obs.<part>``."""
MASK = "obs.mask"
"""Column of legal choices, where an observation Dict has a ``mask``."""


def to_observation_columns(observation: object) -> dict[str, Any]:
    """Return a (batched) observation as named columns; nested parts get dotted names."""
    if isinstance(observation, Mapping):
        parts = observation.items()
    elif isinstance(observation, tuple):
        parts = enumerate(observation)
    else:
        return {OBSERVATION: observation}
    return {
        f"{OBSERVATION}.{name}{inner.removeprefix(OBSERVATION)}": column
        for name, part in parts
        for inner, column in to_observation_columns(part).items()
    }


def get_column_spaces(space: spaces.Space[Any]) -> dict[str, spaces.Space[Any]]:
    """Return the space of each observation column, in a fixed order.

    Raises:
        InputError: a part that cannot be held in an array (text, graphs, sequences), or two parts
            of the same name.
    """
    columns: dict[str, spaces.Space[Any]] = {}
    for column, part in _list_parts(space, OBSERVATION):
        if column in columns:
            raise InputError(
                f"Two parts of the observation are called {column.partition('.')[2]!r}: a dot "
                "separates the names of nested parts, so rename one of them."
            )
        columns[column] = part
    return columns


def _list_parts(space: spaces.Space[Any], column: str) -> Iterator[tuple[str, spaces.Space[Any]]]:
    """Yield the columns of a space, whose own would be ``column``, and their spaces."""
    if isinstance(space, spaces.Dict):
        parts = space.spaces.items()
    elif isinstance(space, spaces.Tuple):
        parts = enumerate(space.spaces)
    elif isinstance(
        space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary
    ):
        yield column, space
        return
    else:
        raise InputError(
            # The type alone: the text of such a space may hold addresses of functions.
            f"{describe_column(column)} is {type(space).__name__}, which no policy here can read: "
            "make it a Box, Discrete, MultiDiscrete or MultiBinary, or a Dict or Tuple of them "
            "(gymnasium.wrappers.FilterObservation leaves out a part)."
        )
    for name, part in parts:
        yield from _list_parts(part, f"{column}.{name}")


def describe_column(column: str) -> str:
    """Name an observation column to its user.

    >>> describe_column("obs.view.left")
    "The part 'view.left' of the observation"
    """
    _, _, part = column.partition(".")
    return f"The part {part!r} of the observation" if part else "The observation"


def stack_spaces(
    columns: Mapping[str, spaces.Space[Any]], depth: int
) -> dict[str, spaces.Space[Any]]:
    """Return the spaces of stacks of ``depth`` observations; a mask is never stacked."""
    return {
        name: space if depth == 1 or name == MASK else batch_space(space, depth)
        for name, space in columns.items()
    }


class PolicyModule(TorchRLModule, ValueFunctionAPI):
    """Base of all policy networks.

    A subclass builds its layers in :meth:`build` and maps observations to numbers in
    :meth:`compute_outputs`; everything else (distribution, value, masks, weights) is here.
    """

    accepts_any_size: ClassVar[bool] = False
    """Whether the same weights act on any number of nodes (or candidates)."""

    supports_picks: ClassVar[bool] = False
    """Whether it gives a logit for each thing that may be picked (``TopKHead``)."""

    hindsight_columns: ClassVar[tuple[str, ...]] = ()
    """Entries of a step's ``info`` that its loss needs."""

    head_weights: ClassVar[tuple[str, ...]] = ("policy.",)
    """Beginnings of the names of the weights that turn features into the policy's outputs; empty
    where the same weights read the observation (tied embeddings)."""

    fixed_weights: frozenset[str] = frozenset()
    """Names of weights that every process loads for itself and that are never trained."""

    acts_on_numpy: bool = False
    """Whether it acts on numpy arrays: a small network spends its time in the calls of torch."""

    device: torch.device = torch.device("cpu")
    """Where the weights are: it acts there, and takes and gives numpy arrays."""

    temperature: Tensor | None
    """Divisor of the logits of choices [1]; None: not divided."""

    return_moments: RunningMoments | None
    """Moments of the returns: the network's own value is standardised by them; None: it is not."""

    def setup(self) -> None:
        """Build the network (called by RLlib)."""
        config = self.model_config
        self.head = make_action_head(
            self.action_space, config["value_distribution"], config["bins"]
        )
        columns, depth = get_column_spaces(self.observation_space), config["frame_stack"]
        self.observation_spaces = stack_spaces(columns, depth)
        stacked = {name: space for name, space in columns.items() if name != MASK}
        self.frames = FrameStack(stacked, depth) if depth > 1 else None
        if not (self.head.size or self.supports_picks):
            raise InputError(
                f"model='graph' alone can pick {self.action_space.shape} edges of a graph: take it "
                "with an observation made of nodes and edges."
            )
        learned = config["log_std_schedule"] == "learned"
        if not (learned or self.head.num_log_stds):
            raise InputError(
                f"log_std_schedule is {config['log_std_schedule']!r}, but it would do nothing: no "
                f"part of {self.action_space} is drawn from a normal distribution. Set "
                "value_distribution='normal' if a choice has a value, else 'learned'."
            )
        start = torch.full((self.head.num_log_stds,), float(config["initial_log_std"]))
        self.log_std = (
            # A scheduled spread is a parameter, too: it travels with the weights as a
            # learned one does.
            nn.Parameter(start, requires_grad=learned) if self.head.num_log_stds else None
        )
        temperature = config["temperature"]
        if temperature is not None and not self.head.has_choices:
            raise InputError(
                f"temperature would do nothing: {self.action_space} has no choices whose odds it "
                "could change. Leave it at 1 and set initial_log_std."
            )
        # A buffer, because it belongs to the weights: every process that receives them acts at the
        # temperature that they were trained at.
        start = None if temperature is None else torch.tensor([float(temperature)])
        self.register_buffer("temperature", start)
        # Buffers, too.
        self.observation_normaliser = make_observation_normaliser(
            config["normalise_observations"], stacked, self.accepts_any_size, depth
        )
        self.return_moments = RunningMoments() if config["normalise_values"] else None
        self.build()
        # After it, because networks over nodes have a sentence of their own about their choices.
        mask = self.observation_spaces.get(MASK)
        if mask is not None and mask.shape != (self.head.mask_size,):
            raise InputError(
                f"The observation has a mask of shape {mask.shape}, but it would do nothing for "
                f"{self.action_space}: it names the legal choices of a Discrete or MultiDiscrete "
                "action, or of Dict(choice=..., value=...), with a number for each."
            )

    @abstractmethod
    def build(self) -> None:
        """Create the layers for ``self.observation_spaces`` and ``self.head``."""

    @abstractmethod
    def compute_outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return outputs [N, head.size] and values [N] of observation columns [N, ...].

        The columns are those of :meth:`normalise_observations`; where there are
        ``return_moments``, the values are standardised.
        """

    def check_loaded_model(self) -> None:
        """Refuse a loaded model that is read in another way than by its library: once, by a job."""

    def normalise_observations(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the columns as :meth:`compute_outputs` reads them."""
        normaliser = self.observation_normaliser
        return batch if normaliser is None else normaliser.normalise(batch)

    def compute_normaliser_metrics(self) -> dict[str, float]:
        """Return metrics of the statistics that this copy of the policy acts by."""
        normaliser = self.observation_normaliser
        if normaliser is None:
            return {}
        return {"normaliser_constant_fraction": normaliser.compute_constant_fraction()}

    def restore_values(self, values: Array) -> Array:
        """Return the network's own values [N] in units of the reward."""
        return values if self.return_moments is None else self.return_moments.restore(values)

    def compute_step(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the same and the recurrent state after each row; empty without memory."""
        return *self.compute_outputs(batch), {}

    def _forward(self, batch: Mapping[str, Tensor], **kwargs: object) -> dict[str, Any]:
        """Return the distribution and the network's own value, which the loss is about."""
        outputs, value, state = self.compute_step(self.normalise_observations(batch))
        return {"dist": self.dist(outputs, batch), "value": value, "state": state}

    # A policy's memory: state columns "state.*", zeros where an episode begins. The program that
    # acts carries them from step to step, one row for each copy of the environment.

    @property
    def state_layout(self) -> StateLayout:
        """Shape and type of each state column; empty for a policy that remembers nothing."""
        return self.frames.layout if self.frames else {}

    def initial_state(self, batch: int) -> dict[str, np.ndarray[Any, Any]]:
        """Return the state columns [batch, ...] at the start of an episode."""
        layout = self.state_layout.items()
        return {name: np.zeros((batch, *shape), dtype) for name, (shape, dtype) in layout}

    def recall(
        self, observation: Mapping[str, Array], state: Mapping[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Join observations [B, ...] with what is remembered.

        Returns:
            The columns that the network reads, and the state columns of the next step that are
            known before acting; those that the network computes are added by acting.
        """
        if self.frames is None:
            return {**observation, **state}, {}
        stacks, after = self.frames.push(observation, state)
        recurrent = {name: column for name, column in state.items() if name not in after}
        return stacks | recurrent, after

    def dist(self, outputs: Tensor, batch: Mapping[str, Tensor]) -> ActionDistribution:
        """Return the action distribution of outputs [N, head.size], at the policy's temperature."""
        dist = self.head.dist(outputs, self.log_std, batch.get(MASK))
        return dist if self.temperature is None else dist.at_temperature(self.temperature)

    def compute_values(self, batch: Mapping[str, Tensor], embeddings: object = None) -> Tensor:
        """Return the values [N] in units of the reward (RLlib's ValueFunctionAPI)."""
        return self.restore_values(self._forward(batch)["value"])

    def act(
        self,
        observation: Mapping[str, Array],
        generator: torch.Generator | None = None,
        *,
        greedy: bool = False,
    ) -> tuple[Action, Tensor, Tensor]:
        """Return action columns, log-probability [B] and value [B] of observations [B, ...]."""
        action, logps, value, _ = self.act_on_arrays(observation, generator, greedy=greedy)
        taken = {name: torch.as_tensor(part) for name, part in action.items()}
        return taken, torch.as_tensor(logps["logp"]), torch.as_tensor(value)

    def act_on_arrays(
        self,
        observation: Mapping[str, Array],
        generator: torch.Generator | None = None,
        *,
        greedy: bool = False,
    ) -> tuple[dict[str, Array], dict[str, Array], Array, dict[str, Array]]:
        """Return the same as arrays, with ``row_logp [B, R]`` where actions have rows.

        The last result is the recurrent state [B, ...] after the step.
        """
        if self.acts_on_numpy and self.device.type == "cpu":
            return self._choose_action(observation, generator, greedy)
        with torch.no_grad():
            batch = {
                name: torch.from_numpy(column).to(self.device)
                for name, column in observation.items()
            }
            action, logps, value, state = self._choose_action(batch, generator, greedy)
        acted, scored, remembered = (
            {name: part.cpu().numpy() for name, part in columns.items()}
            for columns in (action, logps, state)
        )
        return acted, scored, value.cpu().numpy(), remembered

    def _choose_action(
        self, batch: Mapping[str, Array], generator: torch.Generator | None, greedy: bool
    ) -> tuple[dict[str, Any], dict[str, Any], Any, dict[str, Any]]:
        forward = self._forward(batch)
        dist: ActionDistribution = forward["dist"]
        action = dist.mode() if greedy else dist.sample(generator)
        value = self.restore_values(forward["value"])
        return action, log_probabilities(dist, action), value, forward["state"]

    def _apply(self, *args: object, **kwargs: object) -> Any:
        # All of torch's ways to move a module (to, cuda, cpu) pass through here.
        moved = super()._apply(*args, **kwargs)
        self.device = next(self.parameters()).device
        return moved

    def compute_network_metrics(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Return metrics of the network's health (names in ``rungwise/metrics.py``)."""
        return {}

    def get_policy_gradients(self) -> dict[str, Tensor]:
        """Return the gradients of the weights behind the policy's outputs, by name."""
        # The spread of normal values is neither head nor backbone: it reads no features.
        return {
            name: weight.grad
            for name, weight in self.named_parameters()
            if weight.grad is not None and not name.startswith(("critic.", "log_std"))
        }

    def compute_part_grad_norms(self) -> dict[str, float]:
        """Return the gradient norms of head and backbone; empty without one of the two."""
        parts: dict[str, list[Tensor]] = {"head": [], "backbone": []}
        for name, gradient in self.get_policy_gradients().items():
            part = "head" if name.startswith(self.head_weights) else "backbone"
            parts[part].append(torch.linalg.vector_norm(gradient))
        if not all(parts.values()):
            return {}
        return {
            f"grad_norm_{part}": float(torch.linalg.vector_norm(torch.stack(norms)))
            for part, norms in parts.items()
        }

    def get_named_weights(self) -> dict[str, Tensor]:
        """Return the weights as checkpoints and other processes name them, sharing their memory."""
        weights = self.state_dict().items()
        return {name: weight.detach() for name, weight in weights if name not in self.fixed_weights}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a copy with weights of its own, sharing those that never change."""
        parameters = self.named_parameters() if self.fixed_weights else ()
        memo |= {id(p): p for name, p in parameters if name in self.fixed_weights}
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__ = deepcopy(self.__dict__, memo)
        return copied

    def get_state(self, *args: object, **kwargs: object) -> dict[str, np.ndarray[Any, Any]]:
        """Return a copy of the weights by name."""
        return {name: w.cpu().numpy().copy() for name, w in self.get_named_weights().items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Load weights.

        Raises:
            ValueError: names that are missing or unknown, or weights of another shape; RLlib would
                silently keep the old values.
        """
        named = self.get_named_weights()
        if named.keys() != state.keys():
            raise ValueError(
                f"These weights belong to another network: missing {sorted(named.keys() - state)}, "
                f"unknown {sorted(state.keys() - named)}."
            )
        for name, weight in named.items():
            # A copy: arrays out of Ray's object store are read-only, which tensors
            # cannot express.
            given = torch.as_tensor(np.array(state[name]))
            if given.shape != weight.shape:
                raise ValueError(
                    f"These weights belong to another network: {name} has shape "
                    f"{tuple(given.shape)} instead of {tuple(weight.shape)}."
                )
            weight.copy_(given)


def initialise_linear(layer: nn.Linear, gain: float) -> nn.Linear:
    """Initialise a layer with orthogonal weights and zero bias (Andrychowicz et al. 2021)."""
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
