"""What an algorithm may need of an environment, and whether an environment has it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from algos.actions.action_heads import TopKHead, make_action_head
from algos.models.base import to_observation_columns
from envs.batched import get_world
from envs.validation import InputError

Need: TypeAlias = Literal["starts", "candidates", "whole"]

NEED_DESCRIPTIONS: dict[Need, str] = {
    "starts": "episodes that begin alike when they are seeded alike",
    "candidates": "a world whose step is a pure function, so that several actions can be tried "
    "from the same state (the environments of this package)",
    "whole": "actions that are worth comparing as a whole, not picks in each of many rows at once",
}
"""Need -> what an environment must have."""


def detect_offered_needs(env: VectorEnv[Any, Any, Any]) -> frozenset[Need]:
    """What this environment of at least two copies has."""
    head = make_action_head(env.single_action_space)
    # Log-probabilities of a thousand rows add up to a number that says nothing about any of them.
    by_row = isinstance(head, TopKHead) and head.rows > 1
    has: set[Need] = set() if by_row else {"whole"}
    if get_world(env) is not None:
        return frozenset({*has, "starts", "candidates"})
    seeds: Any = [1] * env.num_envs
    try:
        first, second = (to_observation_columns(env.reset(seed=seeds)[0]) for _ in range(2))
    except (TypeError, ValueError, gymnasium.error.Error):
        return frozenset(has)  # a vector environment that takes no seed for each copy
    alike = all(
        np.array_equal(first[name], second[name]) and np.array_equal(first[name][0], first[name][1])
        for name in first
    )
    return frozenset({*has, "starts"} if alike else has)


def check_needs(
    algorithm: str, needs: frozenset[Need], env_id: str, available: frozenset[Need]
) -> None:
    """Refuse an algorithm that an environment is not made for.

    Raises:
        InputError: what is missing, and which algorithms would work.
    """
    missing = sorted(needs - available)
    if missing:
        raise InputError(
            f"{algorithm} needs {NEED_DESCRIPTIONS[missing[0]]}, which {env_id} does not offer; "
            f"{' or '.join(list_runnable_algorithms(available))} would work."
        )


def list_runnable_algorithms(available: frozenset[Need]) -> list[str]:
    """Algorithms whose default settings need no more than that."""
    from algos import ALGORITHMS, get_algorithm_class  # each algorithm imports this module

    found: list[str] = []
    for name in ALGORITHMS:
        algorithm = get_algorithm_class(name)
        if algorithm.get_environment_needs(algorithm.settings_class()) <= available:
            found.append(name)
    return found


def format_requirements_table() -> str:
    """Which algorithm runs where, as Markdown: a row for each form of each algorithm."""
    from algos import ALGORITHMS, get_algorithm_class

    kinds: dict[str, frozenset[Need]] = {
        "any Gymnasium environment": frozenset({"whole"}),
        "one whose episodes begin alike when seeded alike": frozenset({"whole", "starts"}),
        "one of ours (`rungwise envs`)": frozenset(NEED_DESCRIPTIONS),
        "EdgeSelection with picks for each node": frozenset({"starts", "candidates"}),
    }
    lines = ["| algorithm | " + " | ".join(kinds) + " |", "| --- " * (len(kinds) + 1) + "|"]
    for name in ALGORITHMS:
        algorithm = get_algorithm_class(name)
        for form, chosen in algorithm.variants.items():
            needs = algorithm.get_environment_needs(algorithm.settings_class(**chosen))
            cells = ["yes" if needs <= has else "no" for has in kinds.values()]
            told = f"`{name}`" + (f" ({form})" if form else "")
            lines.append(f"| {told} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
