"""Random actors: legal actions, each kept for a while, or by a rule drawn at random."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from algos.models.base import MASK

Array = np.ndarray[Any, Any]
Scale: TypeAlias = tuple[Array, Array]
"""Mean and standard deviation of each entry of an observation (``vector``)."""

HOLDS = (1, 1, 4, 16)
"""For how many steps an action is kept, by turns: a coin tossed each step goes nowhere in many
tasks. Seeds that are multiples of four toss it."""


CANDIDATES = 8
"""Actions among which a random rule chooses."""


class Actor:
    """Draws legal actions and keeps to each for a while."""

    def __init__(self, space: Any, seed: int) -> None:
        self.space = copy.deepcopy(space)
        self.space.seed(seed)
        self.hold, self.left = HOLDS[seed % len(HOLDS)], 0
        self.action: Any = None

    def act(self, columns: Mapping[str, Array]) -> Any:
        """The next action, legal by these observation columns."""
        mask = columns.get(MASK)
        if self.left and (mask is None or mask[choice_of(self.space, self.action)]):
            self.left -= 1
            return self.action
        self.action, self.left = sampled(self.space, mask), self.hold - 1
        return self.action


class Rule:
    """Does what a function of the observation says that was drawn at random from the seed.

    The candidate with the largest sine of a random projection; its smoothness is that of a small
    network's first layer. Noise in the observations is answered, as a policy would.
    """

    def __init__(self, space: Any, seed: int, scale: Scale) -> None:
        self.space = copy.deepcopy(space)
        self.space.seed(seed)
        self.candidates = [self.space.sample() for _ in range(CANDIDATES)]
        self.mean, std = scale
        rng, size = np.random.default_rng(seed), len(std)
        self.weights = rng.normal(size=(CANDIDATES, size)) / (std * np.sqrt(size))
        self.phases = rng.uniform(0, 2 * np.pi, CANDIDATES)

    def act(self, columns: Mapping[str, Array]) -> Any:
        """What the rule says, among the legal candidates."""
        mask = columns.get(MASK)
        scores = np.sin(self.weights @ (vector(columns) - self.mean) + self.phases)
        for place in np.argsort(-scores):
            action = self.candidates[place]
            if mask is None or mask[choice_of(self.space, action)]:
                return action
        return sampled(self.space, mask)


class Constant:
    """Does the same in every step."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def act(self, columns: Mapping[str, Array]) -> Any:
        """The action."""
        return self.action


def vector(columns: Mapping[str, Array]) -> Array:
    """Observation columns of one copy as one vector, without the mask."""
    return np.concatenate([np.reshape(c, -1) for name, c in columns.items() if name != MASK])


def choice_of(space: Any, action: Any) -> int:
    """The place in the mask of an action's choice."""
    named = isinstance(action, Mapping)
    chosen, choices = (action["choice"], space["choice"]) if named else (action, space)
    return int(chosen) - int(choices.start)


def sampled(space: Any, mask: Array | None) -> Any:
    """A random action; the mask says which choices are legal."""
    if mask is None:
        return space.sample()
    legal = np.asarray(mask).astype(np.int8)
    if hasattr(space, "spaces"):
        return space.sample(mask={name: legal if name == "choice" else None for name in space})
    return space.sample(mask=legal)


def stacked(actions: Iterable[Any]) -> Any:
    """Single actions as one batched action."""
    every = list(actions)
    if isinstance(every[0], Mapping):
        return {name: np.stack([action[name] for action in every]) for name in every[0]}
    return np.stack([np.asarray(action) for action in every])
