"""Simple agents of QuietThoughts, to compare trained policies with.

Each is a function ``(task, state, keys [B]) -> actions [B]`` that decides for all copies at once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from envs.contract import counter_rng
from envs.contract.pytree import Ints, Keys
from envs.contract.world import Agent
from envs.thoughts.state import State, Task


def anything(task: Task, state: State, keys: Keys) -> Ints:
    """Think random tokens up to the longest thought."""
    return 1 + counter_rng.integers(keys, task.choices - 1)


def silent(task: Task, state: State, keys: Keys) -> Ints:
    """End the thought at once."""
    return np.zeros(len(keys), np.int64)


def baked(task: Task, state: State, keys: Keys) -> Ints:
    """Think what the baked reader would write."""
    logp = task.baked_reader.next_thought(state.passages.context, state.thought)
    # Gumbel noise: the arg max is a sample from the softmax. 2^-60 keeps the logarithm finite.
    draw = -np.log(-np.log(counter_rng.uniform(keys, (task.choices,)) + 2.0**-60))
    return (logp + draw).argmax(axis=1)


def oracle(task: Task, state: State, keys: Keys) -> Ints:
    """Think the intermediate results (of a plain text, what really follows)."""
    step = np.minimum(state.step, task.params.longest - 1)
    hint = state.passages.hints[np.arange(len(keys)), step]
    return np.where(hint > 0, hint - task.corpus.end, 0)


AGENTS: Mapping[str, Agent] = {
    "random": anything,
    "silent": silent,
    "baked": baked,
    "oracle": oracle,
}
"""The agents by name."""
