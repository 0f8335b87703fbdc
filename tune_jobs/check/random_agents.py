"""Random actors: repeated legal actions, or a random function of the observation."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from gymnasium.spaces import Space

from algos.models.base import MASK
from envs.contract.action_masks import is_legal, is_mask_of, sample_legal
from envs.contract.counter_rng import derive_seed

Array = np.ndarray[Any, Any]
Scale: TypeAlias = tuple[Array, Array]
"""Mean and standard deviation of each entry of an observation (``flatten_observation``)."""

HOLDS = (1, 1, 4, 16)
"""Numbers of steps for which an action is repeated, in turn: an action drawn anew at each step
makes no progress in many tasks. Seeds that are multiples of four draw anew."""
CANDIDATES = 8
"""Number of actions that a random rule chooses from."""


class Actor(Protocol):
    """Acts in one copy of an environment."""

    def act(self, columns: Mapping[str, Array]) -> Any:
        """Return the next action, legal by these observation columns."""
        ...


class RandomActor:
    """Draws legal actions and repeats each for some steps."""

    def __init__(self, space: Space[Any], seed: int) -> None:
        self.space = make_seeded_space(space, seed)
        self.hold, self.left = HOLDS[seed % len(HOLDS)], 0
        self.action: Any = None

    def act(self, columns: Mapping[str, Array]) -> Any:
        """Return the next action, legal by these observation columns."""
        mask = get_mask(self.space, columns)
        # A held action may have become illegal in the meantime.
        if self.left and (mask is None or is_legal(self.space, mask, self.action)):
            self.left -= 1
            return self.action
        self.action, self.left = sample_legal(self.space, mask), self.hold - 1
        return self.action


class RandomRule:
    """Acts by a random function of the observation, drawn from the seed.

    It takes the candidate with the largest sine of a random projection, as smooth as the first
    layer of a small network. It responds to noise in the observations as a policy would.
    """

    def __init__(self, space: Space[Any], seed: int, scale: Scale) -> None:
        self.space = make_seeded_space(space, seed)
        self.candidates = [self.space.sample() for _ in range(CANDIDATES)]
        self.mean, std = scale
        rng, size = np.random.default_rng(derive_seed(seed, "rules")), len(std)
        # Divided by the spread of each entry and the root of their number, so that the argument of
        # the sine has a spread of about 1 at any size of observation.
        self.weights = rng.normal(size=(CANDIDATES, size)) / (std * np.sqrt(size))
        self.phases = rng.uniform(0, 2 * np.pi, CANDIDATES)

    def act(self, columns: Mapping[str, Array]) -> Any:
        """Return the action of the rule, among the legal candidates."""
        mask = get_mask(self.space, columns)
        scores = np.sin(self.weights @ (flatten_observation(columns) - self.mean) + self.phases)
        for index in np.argsort(-scores):
            action = self.candidates[index]
            if mask is None or is_legal(self.space, mask, action):
                return action
        return sample_legal(self.space, mask)


class ConstantActor:
    """Takes the same action in every step in which it is legal, and random ones in others."""

    def __init__(self, space: Space[Any], seed: int, action: object) -> None:
        self.space, self.action = make_seeded_space(space, seed), action

    def act(self, columns: Mapping[str, Array]) -> Any:
        """Return the action, or a random one where it is illegal."""
        mask = get_mask(self.space, columns)
        if mask is None or is_legal(self.space, mask, self.action):
            return self.action
        return sample_legal(self.space, mask)


def flatten_observation(columns: Mapping[str, Array]) -> Array:
    """Return the observation columns of one copy as one vector, without the mask."""
    return np.concatenate([np.reshape(c, -1) for name, c in columns.items() if name != MASK])


def get_mask(space: Space[Any], columns: Mapping[str, Array]) -> Array | None:
    """Return the mask among the columns of one copy, if there is one for such actions."""
    mask = columns.get(MASK)
    return mask if mask is not None and is_mask_of(space, mask) else None


def make_seeded_space(space: Space[Any], seed: int) -> Space[Any]:
    """Return a copy of an action space with a random stream of its own (``derive_seed``)."""
    # A copy: seeding the shared space would change what other actors draw.
    seeded = copy.deepcopy(space)
    seeded.seed(derive_seed(seed, "actions"))
    return seeded


def stack_actions(actions: Iterable[Any]) -> Any:
    """Stack single actions to one batched action."""
    every = list(actions)
    if isinstance(every[0], Mapping):
        return {name: np.stack([action[name] for action in every]) for name in every[0]}
    return np.stack([np.asarray(action) for action in every])
