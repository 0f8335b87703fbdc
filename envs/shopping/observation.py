"""The observation for a policy that scores candidates: words and figures of every action.

Everything comes from pages that the agent has seen in this episode, or from its instruction: the
price limit is parsed from the sentence, and a product's description counts only once opened.
"""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from envs.contract.pytree import Array, Bools, Floats, Ints
from envs.shopping import pages
from envs.shopping.goals import SEARCHES
from envs.shopping.pages import BUY, DONE, ITEM, LISTED, PREV, RESULTS, START, WINDOW
from envs.shopping.params import Params
from envs.shopping.state import State, Task
from envs.shopping.store import Store
from envs.shopping.texts import DESCRIPTION_SEEN, FEATURES_SEEN

FIGURES = (
    "share of its words that the instruction has",
    "share of the instruction's words that it has",
    "token-set ratio of an option value to the instruction",
    "partial ratio",
    "best value of its option by both",
    "price within the limit",
    "log of price over limit",
    "rank among the results",
    "visited in this episode",
    "value chosen",
    "its option has a choice",
    "search done before",
)
"""The figures of each action."""
CONTEXT = (
    *("start", "results", "item", "description", "features", "reviews"),
    "share of steps gone",
    "at most four steps left",
    "options without a choice",
    "description read",
    "features read",
    "items visited per step allowed",
    "page of results over five",
)
"""The figures of the page."""
SEARCH_KIND, PRODUCT_KIND, VALUE_KIND, NO_KIND = LISTED, LISTED + 1, LISTED + 2, LISTED + 3
"""Kinds of listed actions; a button's kind is its slot."""


def make_space(store: Store, params: Params) -> spaces.Dict:
    """Return the observation space: K actions, texts of at most L words."""
    K, L, V = pages.count_slots(store), params.words, params.vocabulary
    if params.text == "tokens":
        parts = {"instruction": (L,), "page": (L,), "candidates": (K, L)}
        texts = {n: spaces.Box(0, V - 1, s, np.int16) for n, s in parts.items()}
    else:
        parts, last = (
            {"instruction": (1,), "page": (1,), "candidates": (K,)},
            len(store.texts.rows) - 1,
        )
        texts = {n: spaces.Box(0, last, s, np.int32) for n, s in parts.items()}
    return spaces.Dict(
        {
            **texts,
            "kinds": spaces.Box(0, NO_KIND, (K,), np.int8),
            "figures": spaces.Box(-3.0, 3.0, (K, len(FIGURES)), np.float32),
            "context": spaces.Box(0.0, 3.0, (len(CONTEXT),), np.float32),
            "mask": spaces.Box(0.0, 1.0, (K,), np.float32),
        }
    )


def observe(task: Task, state: State) -> dict[str, Array]:
    """Return the batched observation of a state.

    ``instruction`` and ``page`` (the parts read of the open item) [B, L], ``candidates`` [B, K, L]:
    numbers of words, 0 behind the last (with ``text="ids"``: rows of ``world.tokens`` [B, 1],
    [B, 1] and [B, K]). ``kinds`` [B, K], ``figures`` [B, K, F] and ``context`` [B, C] as named
    here, ``mask`` [B, K]. With ``text="language"``: see :mod:`envs.shopping.language_observation`.
    """
    mask = pages.compute_legal_mask(state, task.store)
    products = _products(state, mask.shape[1])
    slot_seen = _seen(state, products)
    candidates = _texts(task, state, products, slot_seen)
    instruction = task.store.texts.get_instruction_rows(state.goal)
    page = candidates[:, PREV]
    texts = {"instruction": instruction, "page": page, "candidates": candidates}
    if task.params.text == "tokens":
        rows = task.store.texts.rows
        texts = {name: rows.take(ids, axis=0) for name, ids in texts.items()}
    else:
        texts = {n: i.reshape(len(i), -1).astype(np.int32) for n, i in texts.items()}
    return {
        **texts,
        "kinds": _kinds(state, mask),
        "figures": _figures(task, state, products, candidates),
        "context": _context(task, state, slot_seen[:, PREV]),
        "mask": mask.astype(np.float32),
    }


def _products(state: State, count: int) -> Ints:
    """Return the product [B, K] of each action: those listed, or the open one; -1 is none."""
    products = np.full((len(state.page), count), -1)
    products[:, LISTED : LISTED + WINDOW] = pages.get_shown_products(state)
    products[:, PREV] = products[:, BUY] = state.item
    return products


def _seen(state: State, products: Ints) -> Ints:
    """Return the pages read [B, K] of products [B, K], -1 where they were never opened."""
    slots = products >= 0
    seen = np.full(products.shape, -1)
    copy, slot = np.nonzero(slots)
    # The memory [B, T] is short: compare with every visited product instead of indexing.
    match = state.visited[copy] == products[copy, slot][:, None]
    # max: a product is in the memory once, and all other entries are -1.
    seen[copy, slot] = np.where(match, state.seen[copy], -1).max(axis=1)
    return seen


def _texts(task: Task, state: State, products: Ints, seen: Ints) -> Ints:
    """Return the row of the text table [B, K] of each action."""
    texts = task.store.texts
    rows = texts.get_product_rows(products, np.maximum(seen, 0))
    listed = rows[:, LISTED:]
    start, item = state.page == START, state.page == ITEM
    listed[start, :SEARCHES] = texts.get_search_rows(state.goal[start])
    listed[item, : texts.values.shape[1]] = texts.values[state.item[item]]
    return rows


_LISTED_KIND = np.full(7, NO_KIND, np.int8)
_LISTED_KIND[[START, RESULTS, ITEM]] = SEARCH_KIND, PRODUCT_KIND, VALUE_KIND


def _kinds(state: State, mask: Bools) -> Array:
    kinds = np.empty(mask.shape, np.int8)
    kinds[:, :LISTED] = np.arange(LISTED)
    kinds[:, LISTED:] = np.where(mask[:, LISTED:], _LISTED_KIND[state.page][:, None], NO_KIND)
    return kinds


def _figures(task: Task, state: State, products: Ints, rows: Ints) -> Floats:
    store = task.store
    figures = np.zeros((*rows.shape, len(FIGURES)), np.float32)
    _lexical(task, state, rows, figures)
    listed, V = figures[:, LISTED:], store.value_slots
    # Only copies on an item page have option values, so the Python loop is over these alone.
    item = np.flatnonzero(state.page == ITEM)
    if item.size:
        pairs = zip(state.goal[item].tolist(), state.item[item].tolist(), strict=True)
        listed[item, :V, 2:5] = [store.compute_matches(goal, product) for goal, product in pairs]
        listed[item, :V, 9] = state.chosen[item]
        listed[item, :V, 10] = pages.find_decided_options(state, store)[item]
    copy, slot = np.nonzero(products >= 0)
    product = products[copy, slot]
    # Limits may be infinite: the ratio is then 0, which stands for no limit and is replaced by 1 in
    # the logarithm.
    ratio = store.prices[product] / store.limits[state.goal[copy]]
    figures[copy, slot, 5] = ratio <= 1
    figures[copy, slot, 6] = np.log(np.clip(np.where(ratio == 0, 1, ratio), 0.05, 20))
    figures[copy, slot, 8] = (state.visited[copy] == product[:, None]).any(axis=1)
    rank = (state.number[:, None] - 1) * WINDOW + np.arange(WINDOW)
    listed[:, :WINDOW, 7] = np.where(products[:, LISTED : LISTED + WINDOW] >= 0, rank / 50, 0)
    start = state.page == START
    listed[start, :SEARCHES, 11] = state.searched[start]
    return figures


def _lexical(task: Task, state: State, rows: Ints, figures: Floats) -> None:
    """Fill in the shares of words in common with the instruction."""
    store = task.store
    # Row 0 is the empty text.
    copy, slot = np.nonzero(rows)
    row, goal = rows[copy, slot], state.goal[copy]
    words = store.texts.rows[row].astype(np.int64)
    # Sets of words are bit fields, so membership of a word is one look-up.
    common = (store.instruction_bits[goal[:, None], words >> 3] >> (words & 7).astype(np.uint8)) & 1
    count = common.sum(axis=1)
    lengths = store.texts.lengths
    figures[copy, slot, 0] = count / np.maximum(lengths[row], 1)
    figures[copy, slot, 1] = count / np.maximum(lengths[store.texts.get_instruction_rows(goal)], 1)


def _context(task: Task, state: State, seen: Ints) -> Floats:
    steps, store = task.params.episode_limit, task.store
    context = np.zeros((len(state.page), len(CONTEXT)), np.float32)
    context[:, :DONE] = state.page[:, None] == np.arange(DONE)
    context[:, 6] = np.minimum(state.step / steps, 1)
    context[:, 7] = steps - state.step <= 4
    options = np.where(state.item >= 0, store.group_count[state.item], 0)
    context[:, 8] = np.minimum(options - state.chosen.sum(axis=1), 9) / 3
    context[:, 9] = (np.maximum(seen, 0) & DESCRIPTION_SEEN) > 0
    context[:, 10] = (np.maximum(seen, 0) & FEATURES_SEEN) > 0
    context[:, 11] = (state.visited >= 0).sum(axis=1) / steps
    context[:, 12] = np.minimum(state.number, 15) / 5
    return context
