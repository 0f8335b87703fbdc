"""Sample episodes of a policy as table rows, in worlds that can show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from envs.batched import World
from envs.pytree import Keys, take

SHOWN = 8
"""Examples of a report."""


def collect_examples(
    world: World[Any] | None, keys: Keys, actions: Sequence[Any]
) -> list[dict[str, str]]:
    """Return the first episodes of keys [N], replayed with these actions [N] per step, as rows."""
    if world is None:
        return []
    few = np.arange(min(SHOWN, len(keys)))
    state: Any = world.reset(keys[few])[0]
    for action in actions:  # the world is pure: the same actions give the same episodes
        state = world.step(state, take(action, few)).state
    return world.list_examples(state)
