"""The state of Shopping, and what its agents read of the world."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from envs.contract.pytree import Bools, Floats, Ints, Keys
from envs.shopping.params import Params
from envs.shopping.store import Store


@dataclasses.dataclass(frozen=True)
class State:
    """B copies of the shop."""

    keys: Keys
    """[B]: the keys of the episodes."""
    goal: Ints
    """[B]: the index of the goal."""
    step: Ints
    """[B]: actions so far."""
    page: Ints
    """[B]: the kind of the page."""
    results: Ints
    """[B, 50]: products found, -1 behind the last."""
    number: Ints
    """[B]: the page of results, from 1."""
    item: Ints
    """[B]: the product whose page or sub-page is open, -1 elsewhere."""
    chosen: Bools
    """[B, V]: which of its option values are chosen."""
    searched: Bools
    """[B, SEARCHES]: proposed searches done."""
    visited: Ints
    """[B, T]: products looked at in this episode, in order, -1 behind the last."""
    seen: Ints
    """[B, T]: the parts of each, other than its title, that have been read, as bits."""
    invalid: Ints
    """[B]: actions that were not legal and did nothing."""
    score: Floats
    """[B]: 100 times the reward of the purchase; 0 without one."""


class Task(Protocol):
    """Data of all episodes."""

    params: Params
    """The arguments of the environment."""
    store: Store
    """The products and goals."""
