"""Random actors: legal actions, each kept for a while, or by a rule drawn at random."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from algos.models.base import MASK
from envs.action_masks import is_legal, is_mask_of, sample_legal
from envs.counter_rng import derive_seed

Array = np.ndarray[Any, Any]
Scale: TypeAlias = tuple[Array, Array]
"""Mean and standard deviation of each entry of an observation (``vector``)."""

HOLDS = (1, 1, 4, 16)
"""For how many steps an action is kept, by turns: a coin tossed each step goes nowhere in many
tasks. Seeds that are multiples of four toss it."""


CANDIDATES = 8
"""Actions among which a random rule chooses."""


class RandomActor:
    """Draws legal actions and keeps to each for a while."""

    def __init__(self, space: Any, seed: int) -> None:
        self.space = seeded_space(space, seed)
        self.hold, self.left = HOLDS[seed % len(HOLDS)], 0
        self.action: Any = None

    def act(self, columns: Mapping[str, Array]) -> Any:
        """The next action, legal by these observation columns."""
        mask = mask_of(self.space, columns)
        if self.left and (mask is None or is_legal(self.space, mask, self.action)):
            self.left -= 1
            return self.action
        self.action, self.left = sample_legal(self.space, mask), self.hold - 1
        return self.action


class RandomRule:
    """Does what a function of the observation says that was drawn at random from the seed.

    The candidate with the largest sine of a random projection; its smoothness is that of a small
    network's first layer. Noise in the observations is answered, as a policy would.
    """

    def __init__(self, space: Any, seed: int, scale: Scale) -> None:
        self.space = seeded_space(space, seed)
        self.candidates = [self.space.sample() for _ in range(CANDIDATES)]
        self.mean, std = scale
        rng, size = np.random.default_rng(derive_seed(seed, "rules")), len(std)
        self.weights = rng.normal(size=(CANDIDATES, size)) / (std * np.sqrt(size))
        self.phases = rng.uniform(0, 2 * np.pi, CANDIDATES)

    def act(self, columns: Mapping[str, Array]) -> Any:
        """What the rule says, among the legal candidates."""
        mask = mask_of(self.space, columns)
        scores = np.sin(self.weights @ (vector(columns) - self.mean) + self.phases)
        for place in np.argsort(-scores):
            action = self.candidates[place]
            if mask is None or is_legal(self.space, mask, action):
                return action
        return sample_legal(self.space, mask)


class ConstantActor:
    """Does the same in every step in which it is legal."""

    def __init__(self, space: Any, action: Any) -> None:
        self.space, self.action = seeded_space(space, 0), action

    def act(self, columns: Mapping[str, Array]) -> Any:
        """The action, or a random one where it is illegal."""
        mask = mask_of(self.space, columns)
        if mask is None or is_legal(self.space, mask, self.action):
            return self.action
        return sample_legal(self.space, mask)


def vector(columns: Mapping[str, Array]) -> Array:
    """Observation columns of one copy as one vector, without the mask."""
    return np.concatenate([np.reshape(c, -1) for name, c in columns.items() if name != MASK])


def mask_of(space: Any, columns: Mapping[str, Array]) -> Array | None:
    """The mask among the columns of one copy, if there is one for such actions."""
    mask = columns.get(MASK)
    return mask if mask is not None and is_mask_of(space, mask) else None


def seeded_space(space: Any, seed: int) -> Any:
    """A copy of an action space that draws from a stream of its own (``derive_seed``)."""
    own = copy.deepcopy(space)
    own.seed(derive_seed(seed, "actions"))
    return own


def stack_actions(actions: Iterable[Any]) -> Any:
    """Single actions as one batched action."""
    every = list(actions)
    if isinstance(every[0], Mapping):
        return {name: np.stack([action[name] for action in every]) for name in every[0]}
    return np.stack([np.asarray(action) for action in every])
