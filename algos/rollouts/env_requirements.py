"""Needs that an objective may have of an environment, and whether an environment meets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from algos.actions.kinds import make_action_head
from algos.actions.topk import TopKHead
from algos.models.base import to_observation_columns
from algos.objective import Need, Objective
from envs.contract.batched import get_world
from rungwise.validation import InputError

NEED_DESCRIPTIONS: dict[Need, str] = {
    "starts": "episodes that begin alike when they are seeded alike",
    "candidates": "a world whose step is a pure function, so that several actions can be tried "
    "from the same state (the environments of this package)",
    "whole": "actions that are worth comparing as a whole, not picks in each of many rows at once",
}
"""Need -> what an environment must have."""


def detect_offered_needs(env: VectorEnv[Any, Any, Any]) -> frozenset[Need]:
    """Return what an environment of at least two copies offers."""
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
    # One seed must give the same start in two resets and in two copies of one batch.
    alike = all(
        np.array_equal(first[name], second[name]) and np.array_equal(first[name][0], first[name][1])
        for name in first
    )
    return frozenset({*has, "starts"} if alike else has)


def check_needs(
    name: str,
    needs: frozenset[Need],
    env_id: str,
    offered: frozenset[Need],
    objectives: Mapping[str, Objective[Any]],
) -> None:
    """Refuse an algorithm whose needs an environment does not meet.

    Args:
        name: the algorithm.
        needs: what its objective needs.
        env_id: the environment.
        offered: what the environment offers.
        objectives: of all algorithms by name, to suggest one that would work.

    Raises:
        InputError: what is missing, and which algorithms would work.
    """
    missing = sorted(needs - offered)
    if missing:
        raise InputError(
            f"{name} needs {NEED_DESCRIPTIONS[missing[0]]}, which {env_id} does not offer; "
            f"{' or '.join(list_runnable_algorithms(offered, objectives))} would work."
        )


def list_runnable_algorithms(
    offered: frozenset[Need], objectives: Mapping[str, Objective[Any]]
) -> list[str]:
    """Return the algorithms whose objectives need no more than what is offered."""
    return [name for name, objective in objectives.items() if objective.needs <= offered]


def format_requirements_table(objectives: Mapping[str, Objective[Any]]) -> str:
    """Return which algorithm runs where as Markdown: a row for each form of each algorithm."""
    kinds: dict[str, frozenset[Need]] = {
        "any Gymnasium environment": frozenset({"whole"}),
        "one whose episodes begin alike when seeded alike": frozenset({"whole", "starts"}),
        "one of ours (`rungwise envs`)": frozenset(NEED_DESCRIPTIONS),
        "one of ours with picks in each of many rows": frozenset({"starts", "candidates"}),
    }
    lines = ["| algorithm | " + " | ".join(kinds) + " |", "| --- " * (len(kinds) + 1) + "|"]
    for name, objective in objectives.items():
        for form, chosen in objective.variants.items():
            needs = replace(objective, settings=replace(objective.settings, **chosen)).needs
            cells = ["yes" if needs <= offered else "no" for offered in kinds.values()]
            label = f"`{name}`" + (f" ({form})" if form else "")
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
