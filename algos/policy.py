"""A trained policy on its own: ``Policy.load(checkpoint).act(observation)``.

The only way to infer: evaluation, serving and users act through the same network, the same action
head and the same weights as training did. Loading reads JSON and safetensors and unpickles nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from safetensors.torch import load_file, save_file

from algos import get_algorithm_class
from algos.actions.kinds import make_action_head
from algos.algorithm import ColumnAlgorithm
from algos.checkpoint import check_is_checkpoint, refuse_pickles, verify_checkpoint
from algos.models import MODELS
from algos.models.base import MASK, PolicyModule, to_observation_columns
from algos.rllib.rllib_module import RLlibModule
from algos.settings.training import is_rllib_name
from algos.space_format import space_from_dict, space_to_dict
from envs.adapters.cast_observations import is_castable
from envs.contract.action_masks import (
    MASK_PART,
    add_mask,
    describe_forbidden,
    find_forbidden,
    flatten_mask,
)
from envs.contract.pytree import take
from envs.contract.scalar_actions import restore_scalars
from rungwise.validation import InputError

# RLlib's constructor of modules warns of a deprecated call that it makes itself.
logging.getLogger("ray._common.deprecation").addFilter(
    lambda record: "RLModuleConfig" not in record.getMessage()
)

FORMAT = 1

State: TypeAlias = dict[str, np.ndarray[Any, Any]]
"""A policy's memory of the episodes in progress: columns [B, ...], zeros at their starts."""


def save_policy(
    algorithm: ColumnAlgorithm,
    algo: str,
    directory: Path,
    evaluation_env_kwargs: Mapping[str, Any] | None = None,
) -> None:
    """Write what acting needs: ``policy.json`` and ``weights.safetensors``.

    ``evaluation_env_kwargs`` are the environment's arguments by which it is to be judged, where
    they differ from those of training.
    """
    assert algorithm.learner_group is not None and algorithm.spaces is not None  # noqa: S101
    config: Any = algorithm.config
    weights = algorithm.learner_group.get_weights()["default_policy"]
    space = algorithm.spaces["default_policy"][1]
    metadata = {
        "algo": algo,
        "action_kind": make_action_head(space).kind,
        "env": config.env,
        "env_kwargs": dict(config.env_config),
        "evaluation_env_kwargs": dict(evaluation_env_kwargs or {}),
        "settings": asdict(config.settings),
        "iteration": algorithm.iteration,
    }
    write_policy(directory, metadata, weights, *algorithm.spaces["default_policy"])
    if config.settings.model == "lm":
        algorithm.learner_group.foreach_learner(partial(_save_language_model, directory))


def write_policy(
    directory: Path,
    metadata: Mapping[str, Any],
    weights: Mapping[str, Any],
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
) -> None:
    """Write the two files of a policy.

    Args:
        directory: the folder ``policy`` of a checkpoint.
        metadata: names of algorithm and environment, arguments and settings, as JSON holds them.
        weights: the network's weights by name.
        observation_space: of one environment.
        action_space: of one environment.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: torch.from_numpy(np.asarray(w, order="C")) for name, w in weights.items()}
    save_file(tensors, directory / "weights.safetensors")
    described = {
        "format": FORMAT,
        **metadata,
        "observation_space": space_to_dict(observation_space),
        "action_space": space_to_dict(action_space),
    }
    (directory / "policy.json").write_text(json.dumps(described, indent=1))


def _save_language_model(directory: Path, learner: Any, *_: object, **kwargs: object) -> None:
    """Save a learner's language model in Hugging Face's format."""
    learner.module["default_policy"].unwrapped().save_pretrained(directory / "language_model")


class Policy:
    """A policy network with its weights, ready to act."""

    def __init__(self, module: PolicyModule | RLlibModule, metadata: dict[str, Any]) -> None:
        self.module, self.metadata = module, metadata
        self.observation_space: spaces.Space[Any] = module.observation_space
        self.action_space: spaces.Space[Any] = module.action_space

    @property
    def evaluation_env_kwargs(self) -> dict[str, Any]:
        """The environment's arguments that differ from training in evaluations."""
        return self.metadata.get("evaluation_env_kwargs", {})  # checkpoints of old have none

    @property
    def full_evaluation_env_kwargs(self) -> dict[str, Any]:
        """All arguments of the environment there."""
        return self.metadata["env_kwargs"] | self.evaluation_env_kwargs

    @classmethod
    def load(cls, checkpoint: str | Path, device: torch.device | str = "cpu") -> Policy:
        """Load from a checkpoint directory.

        Args:
            checkpoint: the directory.
            device: where the policy acts; ``auto``: on a GPU, if there is one and policies of this
                kind act on GPUs during training.

        Raises:
            InputError: not a checkpoint, a damaged one, or one of another format or network.
        """
        directory = Path(checkpoint)
        check_is_checkpoint(directory)
        verify_checkpoint(directory, "policy/")
        metadata = json.loads((directory / "policy" / "policy.json").read_text())
        refuse_pickles(directory, metadata)
        if metadata["format"] != FORMAT:
            raise InputError(
                f"{directory} has checkpoint format {metadata['format']}; "
                f"this version reads {FORMAT}."
            )
        module = _make_module(
            metadata,
            space_from_dict(metadata["observation_space"]),
            space_from_dict(metadata["action_space"]),
            device,
        )
        weights = load_file(directory / "policy" / "weights.safetensors")
        try:
            module.set_state({name: tensor.numpy() for name, tensor in weights.items()})
        except ValueError as error:
            name = metadata["settings"].get("model", metadata["algo"])
            raise InputError(
                f"{directory} is of another version of the network {name!r}, which this one cannot "
                f"read: train it again. {error}"
            ) from error
        return cls(module, metadata)

    def initial_state(self, batch: int = 1) -> State:
        """Return what the policy remembers at the start of an episode, for each of ``batch`` rows.

        Empty for a policy without frame stack and memory.
        """
        return self.module.initial_state(batch)

    def act(
        self,
        observation: object,
        state: State | None = None,
        *,
        mask: npt.ArrayLike | None = None,
        greedy: bool = True,
        generator: torch.Generator | None = None,
    ) -> Any:
        """Return the environment action for one observation.

        Args:
            observation: as the environment gives it, or with its mask as the part ``mask``.
            state: what the policy remembers of the episode: ``initial_state()`` at its start, then
                that of the step before. Given a state, the result is the pair of the action and the
                next state. A policy that remembers nothing needs none.
            mask: the legal actions, of an environment that gives them in ``info["action_mask"]``
                or by ``action_masks()``.
            greedy: whether to take the most likely action instead of a sampled one.
            generator: draws sampled actions; by default torch's own.

        Raises:
            InputError: an observation, a mask or a state that is missing or does not fit, or a
                mask that allows nothing.
        """
        batch = self.make_batch(observation, mask)
        try:
            acted = self.act_batch(batch, state, greedy=greedy, generator=generator)
        except RuntimeError as error:  # torch's, of parts whose sizes do not go together
            raise InputError(
                f"This policy acts on {self.observation_space} of any size, but the observation "
                f"has shapes that do not belong together: {error}."
            ) from error
        actions, after = (acted, None) if state is None else acted
        action = restore_scalars(self.action_space, take(actions, 0))
        return action if after is None else (action, after)

    def make_batch(self, observation: object, mask: npt.ArrayLike | None = None) -> Any:
        """Return one observation as a batch of one, in the form that the network reads.

        Raises:
            InputError: see :meth:`act`.
        """
        legal = None if mask is None else flatten_mask(mask)
        shown = add_mask(self.observation_space, observation, legal)
        batch = batch_observation(shown, self.observation_space, self.module.accepts_any_size)
        if MASK in self.module.observation_spaces:
            forbidden = find_forbidden(self.action_space, batch[MASK_PART])
            if forbidden.any():
                text = describe_forbidden(self.action_space, batch[MASK_PART][0])
                raise InputError(
                    f"No action is legal by the mask of this observation ({text}): give a 1 for "
                    "each legal choice."
                )
        return batch

    def act_batch(
        self,
        observations: object,
        state: State | None = None,
        *,
        mask: npt.ArrayLike | None = None,
        greedy: bool = True,
        generator: torch.Generator | None = None,
    ) -> Any:
        """Return the batched environment action for stacked observations [B, ...].

        Given a state [B, ...], the result is the pair of the action and the next state. ``mask
        [B, choices]`` is that of an environment that does not observe it.
        """
        shown = add_mask(self.observation_space, observations, mask)
        columns = to_observation_columns(shown)
        self._check_state(state, len(next(iter(columns.values()))))
        if not isinstance(self.module, PolicyModule):
            taken, after = self.module.act(shown, state or {}, generator, greedy=greedy)
            return taken if state is None else (taken, after)
        inputs, after = self.module.recall(columns, state or {})
        action, _, _, recurrent = self.module.act_on_arrays(inputs, generator, greedy=greedy)
        taken = self.module.head.to_env_action(action)
        return taken if state is None else (taken, after | recurrent)

    def _check_state(self, state: State | None, rows: int) -> None:
        layout = self.module.state_layout
        if state is None and layout:
            raise InputError(
                "This policy remembers the episode, but no state was given: begin each episode "
                "with state = policy.initial_state() and act with "
                "action, state = policy.act(observation, state)."
            )
        given = {name: np.shape(column) for name, column in (state or {}).items()}
        expected = {name: (rows, *shape) for name, (shape, _) in layout.items()}
        if state is not None and given != expected:
            raise InputError(
                f"The state must be that of {rows} rows of this policy, with the shapes "
                f"{expected}, but it has {given}: begin with policy.initial_state({rows})."
            )


def _make_module(
    metadata: dict[str, Any],
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    device: torch.device | str,
) -> PolicyModule | RLlibModule:
    """Return the network that a policy.json describes, without its weights."""
    if is_rllib_name(algo := metadata["algo"]):
        steps = metadata["env_steps"]  # it acts on the CPU: its connectors work there
        return RLlibModule(algo, metadata["settings"], observation_space, action_space, steps)
    # JSON knows no tuples.
    given: dict[str, Any] = metadata["settings"]
    given = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
    metadata["settings"] = given
    settings_class = get_algorithm_class(algo).settings_class
    if unknown := given.keys() - {field.name for field in fields(settings_class)}:
        raise InputError(
            f"The policy was saved by another version of Rungwise, whose {algo} had settings that "
            f"are not known here: {', '.join(sorted(unknown))}. Load it with that version, or "
            "train it again."
        )
    settings = settings_class(**given)
    module = MODELS[settings.model](
        observation_space=observation_space,
        action_space=action_space,
        model_config=settings.model_config,
    )
    if device == "auto":
        device = "cuda" if settings.acts_on_gpu and torch.cuda.is_available() else "cpu"
    # A kind that another module adds has weights of the same shapes, and other actions.
    trained, kind = metadata.get("action_kind", module.head.kind), module.head.kind
    if trained != kind:
        raise InputError(
            f"The policy was trained with actions of the kind {trained}, and here {action_space} "
            f"is acted in by {kind}. Import the module that adds {trained} to KINDS, which is "
            "usually that of the environment, before the policy is loaded."
        )
    return module.eval().to(device)


def have_same_structure(space: spaces.Space[Any], other: spaces.Space[Any]) -> bool:
    """Whether two spaces differ by sizes alone: a policy over nodes acts in both."""
    if isinstance(space, spaces.Dict) and isinstance(other, spaces.Dict):
        return set(space) == set(other) and all(
            have_same_structure(space[n], other[n]) for n in space
        )
    return type(space) is type(other) and len(space.shape or ()) == len(other.shape or ())


def batch_observation(observation: Any, space: spaces.Space[Any], accepts_any_size: bool) -> Any:
    """Return one observation as a batch of one, in the types of its space.

    Raises:
        InputError: parts that are missing, or of another shape or kind.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = dict(space.spaces) if isinstance(space, spaces.Dict) else dict(enumerate(space))
        try:
            batch = {
                n: batch_observation(observation[n], part, accepts_any_size)
                for n, part in parts.items()
            }
        except (LookupError, TypeError) as error:
            raise InputError(
                f"This policy acts on {space}, but a part is missing: {error}."
            ) from error
        return batch if isinstance(space, spaces.Dict) else tuple(batch.values())
    array, dtype = np.asarray(observation), space.dtype
    assert dtype is not None  # noqa: S101
    fits = array.ndim == len(space.shape or ()) if accepts_any_size else array.shape == space.shape
    if not fits or not is_castable(array, dtype):
        raise InputError(
            f"This policy acts on {space}, but the observation has shape {array.shape} and type "
            f"{array.dtype}."
        )
    return array.astype(dtype)[None]
