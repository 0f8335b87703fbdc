# pyright: basic
"""Pages: WebShop's transitions."""

import random as stdlib

import numpy as np
import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

import naive_shop
from shop_visits import legal_texts, visit, walk

from envs.shopping.goals import searches
from envs.shopping.pages import DONE


def assert_same_page(world, state, session):
    assert (state.page[0] == DONE) == session.done
    if session.done:
        return
    clicks = {text for text in legal_texts(world, state) if text.startswith("click[")}
    assert clicks == {f"click[{name}]" for name in session.clickables() if name != "search"}
    product = state.item[0]
    assert (product < 0) == (session.asin is None)
    if product >= 0:
        values = world.store.products[product].values
        chosen = {values[slot][0]: values[slot][1] for slot in np.flatnonzero(state.chosen[0])}
        assert chosen == session.options


ITEM, LAST = "click[{0}]", "click[{9}]"
SEARCH = "search[{q}]"
SEQUENCES = {
    "buy the first": [SEARCH, ITEM, "click[buy now]"],
    "options replace each other": [SEARCH, ITEM, "option 0", "option 1", "option 0", "option -1"],
    "sub-pages keep options": [
        *(SEARCH, ITEM, "option 0", "click[description]", "click[< prev]", "click[features]"),
        *("click[buy now]", "click[< prev]", "click[reviews]", "click[< prev]", "click[buy now]"),
    ],
    "results lose options": [SEARCH, ITEM, "option 0", "click[< prev]", ITEM, "click[buy now]"],
    "back to search forgets": [SEARCH, ITEM, "click[back to search]", SEARCH, "click[next >]"],
    "pages of results": [SEARCH, "click[< prev]", *["click[next >]"] * 2, "click[< prev]", LAST],
    "pages past the end are empty": [SEARCH, *["click[next >]"] * 7, "click[< prev]"],
    "the page of results is kept": [SEARCH, "click[next >]", ITEM, "click[< prev]", ITEM],
    "no hits": ["search[qqq zzz]", ITEM, "click[next >]", "click[back to search]"],
    "nonsense does nothing": ["buy", "click[buy now]", "click[search]", "search[!]"],
    "back from a sub-page": [SEARCH, ITEM, "click[features]", "click[back to search]"],
}


def filled(action, world, state, session):
    """An action with the current page's links and options put in."""
    links = [text for text, kind in session.nodes() if kind == "link"]
    options = [text for text, kind in session.nodes() if kind == "option"]
    if action.startswith("option"):
        return f"click[{options[int(action.split()[1])]}]" if options else "click[nothing]"
    query = searches(session.instruction)[0]
    return action.format(*(links or ["none"]) * 10, q=query) if "{" in action else action


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_scripted_visit_shows_what_webshop_shows(world, name):
    for goal in range(3):
        state, session = visit(world, goal), naive_shop.Session(world.store, goal)
        assert_same_page(world, state, session)
        for action in SEQUENCES[name]:
            text = filled(action, world, state, session)
            state = walk(world, state, text)
            session.act(text)
            assert_same_page(world, state, session)


def test_random_visits_show_what_webshop_shows(world):
    rng = stdlib.Random(0)
    for goal in range(30):
        state, session = visit(world, goal), naive_shop.Session(world.store, goal)
        for _ in range(25):
            text = rng.choice([*legal_texts(world, state), "search[lamp]", "click[next >]"])
            if text == "click[buy now]" and rng.random() < 0.8:
                continue
            state = walk(world, state, text)
            session.act(text)
            assert_same_page(world, state, session)
