"""The two Gymnasium shells around a :class:`~envs.contract.world.World`: many copies, and one.

The shells add only what Gymnasium requires (seeds, automatic resets, info
masks), so that copy b of a batch seeded s, a batch of one seeded s + b and a single environment
seeded s + b have the same episodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.contract import counter_rng
from envs.contract.pytree import (
    Array,
    Bools,
    Keys,
    Observation,
    copy_tree,
    keep_freed_memory,
    put,
    take,
)
from envs.contract.world import Action, StateT, World
from rungwise.validation import InputError


class BatchedVectorEnv(VectorEnv[Observation, Action, Array], Generic[StateT]):
    """B copies of a world as a Gymnasium vector environment.

    A copy that ends starts its next episode in the same step. Its final observation is in
    ``infos["final_obs"]``, batched like any observation (rows of other copies have no meaning). As
    in Gymnasium's SyncVectorEnv its figures are only in ``infos["final_info"]``, name -> [B, ...],
    and those of the other copies in ``infos`` itself; ``infos["_final_obs"]`` [B] and ``_name``
    next to each name are the masks of the copies that have it, and the rows of others are 0.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012 (Gymnasium's own declaration)

    def __init__(
        self, world: World[StateT], num_envs: int, max_episode_steps: int | None = None
    ) -> None:
        if num_envs < 1:
            raise InputError(f"num_envs must be at least 1, but it is {num_envs}.")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise InputError(
                f"max_episode_steps must be at least 1, but it is {max_episode_steps}: leave it "
                "out for episodes that only the world ends."
            )
        # The state is rebuilt at every step: returning its memory each time would cost page faults.
        keep_freed_memory()
        self.world = world
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self.single_observation_space = world.observation_space
        self.single_action_space = world.action_space
        self.observation_space = batch_space(world.observation_space, num_envs)
        self.action_space = batch_space(world.action_space, num_envs)
        self._state: StateT | None = None

    @property
    def state(self) -> StateT:
        """The state of all copies; set it to go back to a checkpoint."""
        if self._state is None:
            raise InputError("There is no state yet: call reset() before the first step.")
        return self._state

    @state.setter
    def state(self, state: StateT) -> None:
        if len(state.keys) != self.num_envs:
            raise InputError(
                f"The state has {len(state.keys)} copies, but this environment has "
                f"{self.num_envs}: make it with num_envs={len(state.keys)}."
            )
        self._state = state

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode in every copy; without a seed each continues from its own key.

        With a seed for each copy [B], copies with equal seeds get equal random numbers and differ
        by their actions alone; a copy whose seed is None continues.
        """
        if options and "reset_mask" in options:
            raise InputError(
                "Copies cannot be reset one by one with options['reset_mask']: those that end "
                "start anew by themselves (same-step autoreset)."
            )
        keys = (
            self._make_seeded_keys(seed) if isinstance(seed, Sequence) else self._derive_keys(seed)
        )
        self._state, observation = (
            self.world.reset_to(keys, options) if options else self.world.reset(keys)
        )
        return copy_tree(observation), {}

    def _derive_keys(self, seed: int | None) -> Keys:
        """Return the keys [B] of a reset with one seed, or of the next episodes without one."""
        super().reset(seed=seed)
        # Without a seed the keys must advance, or each reset would repeat the same episodes.
        if seed is not None:
            return counter_rng.make_keys(seed, self.num_envs)
        if self._state is not None:
            return counter_rng.next_episode(self._state.keys)
        # The first reset, without a seed: Gymnasium's own generator supplies the entropy.
        return counter_rng.make_keys(int(self.np_random.integers(2**63)), self.num_envs)

    def _make_seeded_keys(self, seeds: Sequence[int | None]) -> Keys:
        """Return the keys [B] that single environments with these seeds [B] have."""
        if len(seeds) != self.num_envs:
            raise InputError(
                f"reset needs one seed or one for each of the {self.num_envs} copies, but it got "
                f"{list(seeds)}."
            )
        given: list[Any] = [seed for seed in seeds if seed is not None]
        for seed in given:
            if not isinstance(seed, int) or seed < 0:
                seeding.np_random(seed)  # raises Gymnasium's own error
        # The seed 0 is a placeholder where no seed was given; those rows are replaced below.
        keys = counter_rng.make_keys_from_seeds(
            np.array([(seed or 0) % 2**64 for seed in seeds], np.uint64)
        )
        # Only when needed: the call may draw from np_random, which a seeded reset must not do.
        if len(given) < len(seeds):
            unseeded = np.array([seed is None for seed in seeds])
            keys[unseeded] = self._derive_keys(None)[unseeded]
        if given:
            self._np_random, _ = seeding.np_random(given[0])
            # One for each copy, as SyncVectorEnv's is.
            self._np_random_seed = tuple(seeds)  # pyright: ignore[reportAttributeAccessIssue]
        return keys

    def step(self, actions: Action) -> tuple[Observation, Array, Array, Array, dict[str, Any]]:
        """Advance all copies; those that end start anew."""
        step = self.world.step(self.state, actions)
        truncated = step.truncated.copy()
        # self.state is still the state before this step, hence the + 1.
        if self.max_episode_steps is not None:
            truncated |= self.state.step + 1 >= self.max_episode_steps
        state, observation = step.state, step.observation
        done = step.terminated | truncated
        # Before the reset: the figures of a finished copy belong to the episode that ended.
        infos = _mask_figures(step.info, ~done)
        # Most steps end no episode; skipping the block saves a copy of the whole observation.
        if done.any():
            infos |= {"final_obs": copy_tree(observation), "_final_obs": done.copy()}
            infos |= {"final_info": _mask_figures(step.info, done), "_final_info": done.copy()}
            # Only the finished copies reset; the others keep their state and random numbers.
            keys = counter_rng.next_episode(state.keys[done])
            first_state, first_observation = self.world.reset(keys)
            state = put(state, done, first_state)
            observation = put(observation, done, first_observation)
        self._state = state
        # The caller may write into what it gets; the state must not share memory with it.
        return copy_tree(observation), step.reward.copy(), step.terminated.copy(), truncated, infos


class SingleEnv(gymnasium.Env[Any, Any], Generic[StateT]):
    """One copy of a world as a Gymnasium environment."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own declaration)

    def __init__(self, world: World[StateT]) -> None:
        self.world = world
        self.observation_space = world.observation_space
        self.action_space = world.action_space
        self.state: StateT | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; without a seed it follows the last one as in the vector environment."""
        super().reset(seed=seed)
        if seed is None and self.state is not None:
            keys = counter_rng.next_episode(self.state.keys)
        else:
            start = int(self.np_random.integers(2**63)) if seed is None else seed
            keys = counter_rng.make_keys(start, 1)
        # With the key derivation of copy 0 of a vector environment: both have equal episodes.
        self.state, observation = (
            self.world.reset_to(keys, options) if options else self.world.reset(keys)
        )
        return _only(observation), {}

    def step(self, action: object) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advance by one step."""
        if self.state is None:
            raise InputError("There is no state yet: call reset() before the first step.")
        step = self.world.step(self.state, _batch_of_one(action))
        self.state = step.state
        return (
            _only(step.observation),
            float(step.reward[0]),
            bool(step.terminated[0]),
            bool(step.truncated[0]),
            _only(step.info),
        )


def get_world(env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> World[Any] | None:
    """Return the world behind an environment of this package, None behind any other.

    An attribute named ``world`` is not enough: an environment of a user may have one, too.
    """
    # Wrappers such as TimeLimit hide the type; only the innermost environment can be checked.
    inner = env.unwrapped
    return inner.world if isinstance(inner, BatchedVectorEnv | SingleEnv) else None


def _mask_figures(info: Mapping[str, Array], mask: Bools) -> dict[str, Any]:
    """Return figures in Gymnasium's form: each name next to a mask of the copies that have it.

    Figures of all others are 0, and no two arrays share memory. Without any copy there are none.
    """
    if not mask.any():
        return {}
    # One mask per name, because Gymnasium lets the caller write into each of them.
    masks = np.tile(mask, (len(info), 1))
    others = ~mask
    figures: dict[str, Any] = {}
    for (name, leaf), name_mask in zip(info.items(), masks, strict=True):
        figures[name], figures[f"_{name}"] = leaf.copy(), name_mask
        figures[name][others] = 0
    return figures


def _only(tree: object) -> Any:
    return take(copy_tree(tree), 0)


def _batch_of_one(action: object) -> Any:
    if isinstance(action, Mapping):
        return {name: np.asarray(part)[None] for name, part in action.items()}
    return np.asarray(action)[None]
