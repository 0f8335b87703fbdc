"""Environments whose observation has the mask of legal actions as its part ``mask``.

What follows (runners, networks, evaluation, export) knows this form alone. Where an ordinary
environment is copied, each copy is wrapped by :class:`MaskedEnv`, so that final observations carry
their masks in every autoreset mode; :class:`MaskedVectorEnv` is for environments that are batched
natively.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from envs.contract.action_masks import (
    FORMS,
    MASK_PART,
    OBSERVATION_PART,
    PARTS,
    Form,
    MaskError,
    add_mask_space,
    count_choices,
    describe_forbidden,
    describe_wrong_size,
    find_forbidden,
    has_method,
    read_mask,
)
from envs.contract.agents import locate_row
from envs.contract.pytree import Array
from rungwise.validation import InputError


def detect_form(env: gymnasium.Env[Any, Any], info: object = None) -> Form | None:
    """Return the form in which an environment offers masks; None if it offers none.

    Args:
        env: the environment.
        info: what its reset returned; without it, an environment that could have masks there is
            reset once, without a seed.

    Raises:
        InputError: its observation has both parts that could be the mask.
    """
    if count_choices(env.action_space) < 0:
        return None
    if part := _find_part(env.observation_space):
        return part
    if has_method(env):
        return "method"
    if info is None:
        try:
            _, info = env.reset()
        except Exception:  # the first use of the environment reports it with its line
            return None
    return _find_in_info(info)


def detect_vector_form(env: VectorEnv[Any, Any, Any]) -> Form | None:
    """Return the same for an environment that is batched natively; it knows no methods."""
    if count_choices(env.single_action_space) < 0:
        return None
    if part := _find_part(env.single_observation_space):
        return part
    try:
        _, infos = env.reset()
    except Exception:
        return None
    return _find_in_info(infos)


def _find_part(space: spaces.Space[Any]) -> Form | None:
    named: list[Form] = [
        part for part in PARTS if isinstance(space, spaces.Dict) and part in space.spaces
    ]
    if len(named) > 1:
        raise InputError(
            "The observation has the parts `mask` and `action_mask`, and either could be the mask "
            "of legal actions: rename the other one."
        )
    return named[0] if named else None


def _find_in_info(info: object) -> Form | None:
    offered = isinstance(info, Mapping) and info.get("action_mask") is not None
    return "info" if offered else None


@dataclasses.dataclass(frozen=True)
class MaskReader:
    """Reads the masks of one environment."""

    env: gymnasium.Env[Any, Any]
    """The environment."""
    form: Form
    """The form in which it offers them."""

    def read(self, observation: object, info: object, step: int, *, ended: bool) -> Array:
        """Return the mask [choices] after some steps of an episode.

        After the end, where nothing is chosen any more and games show no mask or an empty one, all
        is legal: each observation that a policy sees has an action.

        Raises:
            MaskError: it does not fit the actions, is missing, or allows nothing before the end.
        """
        space = self.env.action_space
        legal = read_mask(self.form, self.env, observation, info)
        if not ended:
            check_choice(space, self.form, legal, step)
        return allow_something(space, np.zeros(count_choices(space)) if legal is None else legal)


class MaskedEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment with its mask, offered in some form, as the part ``mask`` it observes."""

    def __init__(self, env: gymnasium.Env[Any, Any], form: Form) -> None:
        super().__init__(env)
        self.reader, self.steps = MaskReader(env, form), 0
        self.observation_space = add_mask_space(env.observation_space, env.action_space, form)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.steps = 0
        legal = self.reader.read(observation, info, 0, ended=False)
        return join_parts(self.reader.form, observation, legal), info

    def step(self, action: object) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.steps += 1
        ended = bool(terminated or truncated)
        legal = self.reader.read(observation, info, self.steps, ended=ended)
        shown = join_parts(self.reader.form, observation, legal)
        return shown, reward, terminated, truncated, info


def check_choice(
    space: spaces.Space[Any], form: Form, legal: Array | None, step: int, where: str = ""
) -> None:
    """Refuse a mask that is missing or allows nothing.

    Raises:
        MaskError: naming the step.
    """
    when = f"{where} after step {step} of an episode" if step else f"{where} after reset()"
    if legal is None:
        raise MaskError(
            f"The environment says which actions are legal by {FORMS[form]}, but there was none"
            f"{when}: give one after reset() and after every step that does not end the episode."
        )
    if find_forbidden(space, legal):
        without = (
            " To train without it, leave the part out with gymnasium.wrappers.FilterObservation."
            if form in PARTS
            else ""
        )
        raise MaskError(
            f"No action is legal by {FORMS[form]}{when} ({describe_forbidden(space, legal)}): "
            f"allow at least one in each choice, or end the episode there.{without}"
        )


def allow_something(space: spaces.Space[Any], legal: Array) -> Array:
    """Return masks [..., choices] in which all is legal where a choice had no legal option."""
    empty = np.asarray(find_forbidden(space, legal))[..., None]
    return np.where(empty, 1, legal).astype(np.int8)


def join_parts(form: Form, observation: Any, legal: Array) -> dict[str, Any]:
    """Return an observation, or a batch, with the mask as its part ``mask``."""
    if form in PARTS:
        parts = dict(observation)
        given = np.asarray(parts.pop(form))
        return parts | {MASK_PART: legal.astype(given.dtype)}
    if isinstance(observation, Mapping):
        return {**observation, MASK_PART: legal}
    return {OBSERVATION_PART: observation, MASK_PART: legal}


class MaskedVectorEnv(VectorWrapper):
    """The same for B copies that are batched natively, in any autoreset mode.

    Their masks are ``infos["action_mask"]`` [B, choices], with the copies that have one in
    ``infos["_action_mask"]`` [B], or a part of their observations.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], form: Form) -> None:
        super().__init__(env)
        self.form: Form = form
        single = add_mask_space(env.single_observation_space, env.single_action_space, form)
        self.single_observation_space = single
        self.observation_space = batch_space(single, env.num_envs)
        self.steps = np.zeros(env.num_envs, np.int64)
        mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self.same_step = mode == AutoresetMode.SAME_STEP

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every copy."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self.steps[:] = 0
        legal = self._read_masks(observations, infos, np.ones(self.num_envs, bool))
        return join_parts(self.form, observations, legal), infos

    def step(self, actions: object) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Take a step in every copy."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        ended = terminated | truncated
        # A copy that ended observes the first state of its next episode, or the last of all.
        self.steps = np.where(ended & self.same_step, 0, self.steps + 1)
        legal = self._read_masks(observations, infos, ~ended | self.same_step)
        # A next-step copy only resets in the step after its end.
        self.steps[ended] = 0 if self.same_step else -1
        if "final_obs" in infos:
            infos = {**infos, "final_obs": self._show_final(infos)}
        shown = join_parts(self.form, observations, legal)
        return shown, rewards, terminated, truncated, infos

    def _read_masks(self, observations: Any, infos: Mapping[str, Any], needed: Array) -> Array:
        """Return the masks [B, choices]; all is legal where none is needed [B] and none usable.

        Raises:
            MaskError: naming the first copy whose mask is needed but missing or empty.
        """
        space, in_info = self.single_action_space, self.form not in PARTS
        shape, has = (self.num_envs, count_choices(space)), np.ones(self.num_envs, bool)
        given = infos.get("action_mask") if in_info else observations[self.form]
        if given is None:
            given, has = np.zeros(shape, np.int8), ~has
        elif in_info:
            has = np.asarray(infos.get("_action_mask", has), bool)
        legal = np.asarray(given)
        if legal.shape != shape:
            raise MaskError(describe_wrong_size(self.form, f"the shape {legal.shape}", space))
        for copy in np.flatnonzero(needed & (~has | find_forbidden(space, legal)))[:1]:
            mask = legal[copy] if has[copy] else None
            step = max(int(self.steps[copy]), 0)
            check_choice(space, self.form, mask, step, f" {locate_row(self.env, int(copy))}")
        return allow_something(space, legal * has[:, None])

    def _show_final(self, infos: Mapping[str, Any]) -> Any:
        """Return the final observations with their masks, in the form in which they came."""
        final, space = infos["final_obs"], self.single_action_space
        of_infos = infos.get("final_info", {}).get("action_mask")

        def show(observation: Any, mask: Array | None, count: tuple[int, ...] = ()) -> Any:
            given = observation[self.form] if self.form in PARTS else mask
            if given is None:
                given = np.zeros((*count, count_choices(space)))
            return join_parts(self.form, observation, allow_something(space, np.asarray(given)))

        if not (isinstance(final, np.ndarray) and final.dtype == object):
            return show(final, of_infos, (self.num_envs,))
        # One observation for each copy that ended, None for the others.
        shown = np.empty(len(final), object)
        for copy in range(len(final)):
            if final[copy] is not None:
                mask = None if of_infos is None else of_infos[copy]
                shown[copy] = show(final[copy], mask)
        return shown
