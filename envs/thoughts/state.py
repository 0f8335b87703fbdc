"""The state of QuietThoughts, and what its agents read of the world."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from envs.contract.pytree import Bools, Ints, Keys
from envs.thoughts.corpus import Corpus, Passages
from envs.thoughts.params import Params
from envs.thoughts.reader import Reader


@dataclasses.dataclass(frozen=True)
class State:
    """B thoughts in progress."""

    keys: Keys
    """[B]: the keys of the episodes."""
    passages: Passages
    """Where in the text they are thought."""
    thought: Ints
    """[B, T]: their tokens so far, 0 where there is none yet."""
    step: Ints
    """[B]: the number of these tokens."""
    over: Bools
    """[B]: whether the thought has been ended."""


class Task(Protocol):
    """Data of all episodes."""

    params: Params
    """The arguments of the environment."""
    corpus: Corpus
    """The texts."""
    choices: int
    """Number of actions: to end the thought, or one of the tokens of a thought."""

    @property
    def baked_reader(self) -> Reader:
        """The frozen reader."""
        ...

    @property
    def reader(self) -> Reader:
        """The reader in use: the frozen one, or the policy itself."""
        ...
