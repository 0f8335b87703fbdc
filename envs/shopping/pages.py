"""The pages of a shop: legal clicks and the page that each leads to.

Actions are slots. The first slots are buttons, whose meaning never changes; the others are what the
page lists: proposed searches, products found, or option values. A mask marks the legal ones.
Transitions are those of WebShop (web_agent_text_env.py and engine.py, MIT).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from envs.contract.pytree import Bools, Ints, Keys
from envs.shopping.goals import SEARCHES
from envs.shopping.search import RETURNED
from envs.shopping.state import State
from envs.shopping.store import Store
from envs.shopping.texts import DESCRIPTION_SEEN, FEATURES_SEEN

START, RESULTS, ITEM, DESCRIPTION, FEATURES, REVIEWS, DONE = range(7)
"""Kinds of pages; the three sub-pages have the numbers of the buttons that lead to them."""
BUTTONS = ("back to search", "< prev", "next >", "description", "features", "reviews", "buy now")
BACK, PREV, NEXT, TO_DESCRIPTION, TO_FEATURES, TO_REVIEWS, BUY = range(7)
LISTED = len(BUTTONS)
"""The first slot of what a page lists."""
WINDOW = 10
"""Products on a page of results [WebShop, PRODUCT_WINDOW]."""

_LEGAL = np.zeros((7, LISTED), np.bool_)
_LEGAL[RESULTS, [BACK, PREV, NEXT]] = True
# In the order of BUTTONS: an item has no next page.
_LEGAL[ITEM] = [True, True, False, True, True, True, True]
_LEGAL[DESCRIPTION : REVIEWS + 1, [BACK, PREV]] = True


def make_start_state(keys: Keys, goal: Ints, store: Store, steps: int) -> State:
    """Return the start pages of goals [B], for episodes of at most ``steps`` steps."""
    B = len(keys)
    nothing = np.zeros(B, np.int64)
    return State(
        keys=keys,
        goal=goal,
        step=nothing,
        page=nothing,
        results=np.full((B, RETURNED), -1),
        number=nothing + 1,
        item=nothing - 1,
        chosen=np.zeros((B, store.value_slots), np.bool_),
        searched=np.zeros((B, SEARCHES), np.bool_),
        visited=np.full((B, steps), -1),
        seen=np.zeros((B, steps), np.int64),
        invalid=nothing,
        score=np.zeros(B),
    )


def count_slots(store: Store) -> int:
    """Return the number of actions."""
    return LISTED + max(SEARCHES, WINDOW, store.value_slots)


def get_shown_products(state: State) -> Ints:
    """Return the products [B, WINDOW] on pages of results, -1 for none."""
    rank = (state.number[:, None] - 1) * WINDOW + np.arange(WINDOW)
    products = np.take_along_axis(state.results, np.minimum(rank, RETURNED - 1), axis=1)
    return np.where((rank < RETURNED) & (state.page == RESULTS)[:, None], products, -1)


def compute_legal_mask(state: State, store: Store) -> Bools:
    """Return which actions [B, K] the pages offer."""
    mask = np.zeros((len(state.page), count_slots(store)), np.bool_)
    mask[:, :LISTED] = _LEGAL[state.page]
    mask[:, PREV] &= (state.page != RESULTS) | (state.number > 1)
    listed = mask[:, LISTED:]
    listed[:, :SEARCHES] = (state.page == START)[:, None]
    listed[:, :WINDOW] |= get_shown_products(state) >= 0
    # state.item may be -1, which would index the last product; the condition hides it.
    count = np.where(state.page == ITEM, store.value_count[state.item], 0)
    listed[:, : store.value_slots] |= np.arange(store.value_slots) < count[:, None]
    return mask


def get_option_groups(state: State, store: Store) -> Ints:
    """Return the option [B, V] that each value of the open items belongs to; -1 is none."""
    return np.where((state.item >= 0)[:, None], store.group_of[state.item], -1)


def find_decided_options(state: State, store: Store) -> Bools:
    """Return whether the option [B, V] that each value belongs to has a choice."""
    of = get_option_groups(state, store)
    decided = np.zeros(of.shape, np.bool_)
    # Over options (a few) and not over copies.
    for group in range(int(store.group_count.max())):
        members = of == group
        decided |= members & (members & state.chosen).any(axis=1)[:, None]
    return decided


def click(state: State, slot: Ints, store: Store) -> State:
    """Return the states after clicks on legal slots [B] that are no searches; -1 does nothing."""
    page, item, number = state.page, state.item, state.number
    on_results, on_item = page == RESULTS, page == ITEM
    back, prev = slot == BACK, slot == PREV
    # Back to the results, from an item or by pages of results, options are lost.
    opened = on_results & (slot >= LISTED)
    listed = np.where(slot >= LISTED, slot - LISTED, 0)
    every = np.arange(len(slot))
    product = np.where(
        opened, get_shown_products(state)[every, np.minimum(listed, WINDOW - 1)], item
    )
    leaves = back | (prev & on_item)
    # The order matters: np.select takes the first true condition.
    to = np.select(
        [back, opened, prev & on_item, prev & (page > ITEM), slot == BUY],
        [START, ITEM, RESULTS, ITEM, DONE],
        np.where((slot >= TO_DESCRIPTION) & (slot <= TO_REVIEWS), slot, page),
    )
    state = dataclasses.replace(
        state,
        page=to,
        item=np.where(leaves, -1, product),
        number=np.where(back, 1, number + on_results * ((slot == NEXT) * 1 - prev)),
        results=np.where(back[:, None], -1, state.results),
        chosen=_choose_value(
            state, np.where(on_item & (slot >= LISTED), listed, -1), leaves, store
        ),
    )
    return _remember_products(state, opened)


def search(state: State, who: Ints, results: Ints) -> State:
    """Return the states after searches by copies ``who`` [b] that found ``results`` [b, 50]."""
    page, number, item = state.page.copy(), state.number.copy(), state.item.copy()
    listed, chosen = state.results.copy(), state.chosen.copy()
    page[who], number[who], item[who], listed[who], chosen[who] = RESULTS, 1, -1, results, False
    return dataclasses.replace(
        state, page=page, number=number, item=item, results=listed, chosen=chosen
    )


def _choose_value(state: State, value: Ints, leaves: Bools, store: Store) -> Bools:
    """Return option values [B, V] after choosing ``value`` [B] (-1: none) for its option."""
    of = get_option_groups(state, store)
    every = np.arange(len(value))
    # -2 equals no group, not even the -1 of padding.
    its = np.where(value >= 0, of[every, np.maximum(value, 0)], -2)
    # One value per option: the earlier choice of the same option is dropped first.
    chosen = state.chosen & (of != its[:, None]) & ~leaves[:, None]
    return chosen | (np.arange(of.shape[1]) == value[:, None])


def _remember_products(state: State, opened: Bools) -> State:
    """Record items that were opened or read in the memory of the states."""
    visited, seen = state.visited.copy(), state.seen.copy()
    is_open = (visited == state.item[:, None]) & (state.item >= 0)[:, None]
    new = opened & ~is_open.any(axis=1)
    # New items take the next free place; an episode opens at most one item per step, so the memory
    # [B, steps] suffices.
    slot = np.where(new, np.minimum((visited >= 0).sum(axis=1), visited.shape[1] - 1), 0)
    slot = np.where(is_open.any(axis=1), is_open.argmax(axis=1), slot)
    who = np.flatnonzero(state.item >= 0)
    visited[who, slot[who]] = state.item[who]
    read = np.select(
        [state.page == DESCRIPTION, state.page == FEATURES], [DESCRIPTION_SEEN, FEATURES_SEEN], 0
    )
    seen[who, slot[who]] |= read[who]
    return dataclasses.replace(state, visited=visited, seen=seen)
