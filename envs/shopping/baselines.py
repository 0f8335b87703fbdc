"""Simple agents of Shopping, to compare trained policies with and to clone from.

Each is a function ``(task, state, keys [B]) -> actions [B]`` that decides for all copies at once.
All except the oracle read only pages and instructions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from envs.contract import counter_rng
from envs.contract.pytree import Bools, Floats, Ints, Keys
from envs.contract.world import Agent
from envs.shopping import pages
from envs.shopping.pages import (
    BACK,
    BUY,
    ITEM,
    LISTED,
    PREV,
    RESULTS,
    START,
    TO_FEATURES,
    WINDOW,
)
from envs.shopping.state import State, Task


def anything(task: Task, state: State, keys: Keys) -> Ints:
    """Draw any legal action."""
    mask = pages.compute_legal_mask(state, task.store)
    return np.where(mask, counter_rng.uniform(keys, (mask.shape[1],)), -1).argmax(axis=1)


def rule(task: Task, state: State, keys: Keys) -> Ints:
    """Search for the instruction, open the first product and buy it [WebShop's rule]."""
    return np.where(state.page == ITEM, BUY, _get_first_listed(task, state))


def rule_with_options(task: Task, state: State, keys: Keys) -> Ints:
    """Act as :func:`rule`, but choose the option values most similar to the instruction."""
    value = _next_value(task, state, _best_values(task, state))
    action = np.where(value >= 0, LISTED + value, BUY)
    return np.where(state.page == ITEM, action, _get_first_listed(task, state))


def explorer(task: Task, state: State, keys: Keys) -> Ints:
    """Explore: a teacher whose episodes a policy can be cloned from before training.

    Opens a product by rank (geometrically), sometimes reads or goes back, and chooses each value by
    likeness or by chance before it buys.
    """
    draw = counter_rng.uniform(keys, (4,))
    # Inverse transform of a geometric distribution with ratio 0.7.
    rank = np.minimum(np.log1p(-draw[:, 0]) // np.log(0.7), WINDOW - 1).astype(np.int64)
    listed = (pages.get_shown_products(state) >= 0).sum(axis=1)
    # A page without results leads nowhere but back.
    product = np.where(listed > 0, LISTED + np.minimum(rank, listed - 1), BACK)
    likeness = np.where((draw[:, 1] < 0.5)[:, None], _best_values(task, state), 0)
    chance = counter_rng.uniform(counter_rng.fold(keys, 1), likeness.shape[1:])
    value = _next_value(task, state, likeness + chance / 2)
    on_item = np.where(value >= 0, LISTED + value, BUY)
    on_item = np.where(draw[:, 2] < 0.12, TO_FEATURES, on_item)
    # Only early in an episode: going back late would leave no steps to buy.
    on_item = np.where((draw[:, 2] > 0.92) & (state.step < 10), PREV, on_item)
    query = LISTED + (draw[:, 3] * 3).astype(np.int64)
    return np.select(
        [state.page == START, state.page == RESULTS, state.page == ITEM],
        [query, product, on_item],
        PREV,
    )


def oracle(task: Task, state: State, keys: Keys) -> Ints:
    """Buy the best of the first ten products with the best options; this agent sees the goal.

    It searches for the whole instruction and reads only the first page of results.
    """
    action = _get_first_listed(task, state)
    for b in np.flatnonzero((state.page == RESULTS) | (state.page == ITEM)):
        goal = int(state.goal[b])
        if state.page[b] == RESULTS:
            shown = [p for p in state.results[b, :WINDOW].tolist() if p >= 0]
            worths = [_best_purchase(task, goal, p)[0] for p in shown]
            action[b] = LISTED + int(np.argmax(worths)) if shown else BACK
        else:
            _, slots = _best_purchase(task, goal, int(state.item[b]))
            missing = [slot for slot in slots if not state.chosen[b, slot]]
            action[b] = LISTED + missing[0] if missing else BUY
    return action


AGENTS: Mapping[str, Agent] = {
    "random": anything,
    "rule": rule,
    "rule_with_options": rule_with_options,
    "explorer": explorer,
    "oracle": oracle,
}
"""The agents by name."""


def _get_first_listed(task: Task, state: State) -> Ints:
    """Return the first listed action, or the way back where a page lists nothing."""
    mask = pages.compute_legal_mask(state, task.store)
    return np.where(mask[:, LISTED], LISTED, np.where(mask[:, PREV], PREV, BACK))


def _best_values(task: Task, state: State) -> Floats:
    """Return the similarity [B, V] of the open items' option values to the instruction, else 0."""
    values = np.zeros(state.chosen.shape)
    for b in np.flatnonzero(state.page == ITEM):
        values[b] = task.store.compute_matches(int(state.goal[b]), int(state.item[b]))[:, :2].sum(
            axis=1
        )
    return values


def _next_value(task: Task, state: State, liking: Floats) -> Ints:
    """Return the best value [B] of the first option without a choice; -1 where there is none."""
    of = pages.get_option_groups(state, task.store)
    open_: Bools = (of >= 0) & ~pages.find_decided_options(state, task.store)
    first = np.where(open_, of, np.iinfo(np.int64).max).min(axis=1)
    liked = np.where(open_ & (of == first[:, None]), liking, -1)
    return np.where(open_.any(axis=1), liked.argmax(axis=1), -1)


def _best_purchase(task: Task, goal: int, product: int) -> tuple[float, tuple[int, ...]]:
    """Return the reward of buying a product with its best option values, and their slots."""
    store, compat = task.store, task.params.compat
    count = int(store.value_count[product])
    by_group: dict[int, list[int]] = {}
    for slot, group in enumerate(store.group_of[product, :count].tolist()):
        by_group.setdefault(group, []).append(slot)
    best = store.compute_reward(goal, product, (), compat).total, ()
    # Each option by itself first: values of different options add up but for rare doubles.
    chosen: list[int] = []
    for slots in by_group.values():
        worths = [
            store.compute_reward(goal, product, (*chosen, slot), compat).total for slot in slots
        ]
        chosen.append(slots[int(np.argmax(worths))])
        best = max(best, (max(worths), tuple(chosen)))
    return best
