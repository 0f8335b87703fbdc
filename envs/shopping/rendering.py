"""Pages and actions as text, in WebShop's two formats, for policies that read and write."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

import numpy as np

from envs.pytree import take
from envs.shopping.goals import searches
from envs.shopping.pages import (
    BUTTONS,
    DESCRIPTION,
    DONE,
    FEATURES,
    ITEM,
    RESULTS,
    START,
    compute_legal_mask,
    get_shown_products,
)
from envs.shopping.state import State
from envs.shopping.store import Store

Style: TypeAlias = Literal["text", "text_rich"]

_CAPTIONS = {name: name.title() for name in BUTTONS} | {"back to search": "Back to Search"}


@dataclasses.dataclass(frozen=True)
class Piece:
    """One piece of text on a page."""

    text: str
    kind: Literal["plain", "button", "option", "product"] = "plain"
    clicked: bool = False


def page_text(state: State, copy: int, store: Store, style: Style = "text") -> str:
    """Return the page of one copy: pieces joined by ``[SEP]``, or with buttons marked."""
    pieces = [piece for piece in _pieces(_only(state, copy), store) if piece.text]
    if style == "text":
        return " [SEP] ".join(piece.text for piece in pieces)
    chosen = [f"You have clicked {p.text}.\n" for p in pieces if p.kind == "option" and p.clicked]
    return "".join((*reversed(chosen), *(f"{_rich(piece)}\n" for piece in pieces)))


def action_texts(state: State, copy: int, store: Store) -> list[str]:
    """Return the name of each action [K] of one copy; empty where it is not legal."""
    state = _only(state, copy)
    mask = compute_legal_mask(state, store)[0].tolist()
    listed = _list_page(state, store)
    texts = [f"click[{name}]" for name in BUTTONS]
    if state.page[0] == START:
        texts += [f"search[{query}]" for query in listed]
    else:
        texts += [f"click[{name}]" for name in listed]
    texts += [""] * (len(mask) - len(texts))
    return [text if is_legal else "" for text, is_legal in zip(texts, mask, strict=True)]


def parse_action(text: str) -> tuple[str, str] | None:
    """Parse an action in WebShop's grammar: ("search" or "click", argument in lower case)."""
    found = re.match(r"(.+)\[(.+)\]", text)
    if not found or found[1] not in ("search", "click"):
        return None
    return found[1], found[2].lower()


def _only(state: State, copy: int) -> State:
    """Return the state of one copy, as a batch of one."""
    return take(state, np.array([copy]))


def _list_page(state: State, store: Store) -> list[str]:
    """Yield what the page lists."""
    page = state.page[0]
    if page == START:
        return list(searches(store.goals[state.goal[0]].instruction))
    if page == RESULTS:
        found = get_shown_products(state)[0].tolist()
        return [store.products[p].id.lower() if p >= 0 else "" for p in found]
    if page == ITEM:
        return [value for _, value in store.products[state.item[0]].values]
    return []


def _pieces(state: State, store: Store) -> Iterator[Piece]:
    page = int(state.page[0])
    instruction = store.goals[state.goal[0]].instruction
    if page == DONE:
        yield Piece("Thank you for shopping with us!")
        return
    if page == START:
        yield Piece("WebShop")
    yield Piece("Instruction:")
    yield Piece(instruction)
    if page == START:
        yield Piece("Search", "button")
        return
    yield _button("back to search")
    if page == RESULTS:
        yield from _results(state, store)
        return
    yield _button("< prev")
    if page == ITEM:
        yield from _item(state, store)
        return
    product = store.products[state.item[0]]
    if page == DESCRIPTION:
        yield Piece(product.description)
    elif page == FEATURES:
        yield from map(Piece, product.features)


def _results(state: State, store: Store) -> Iterator[Piece]:
    number = int(state.number[0])
    yield Piece(f"Page {number} (Total results: {(state.results[0] >= 0).sum()})")
    if number > 1:
        yield _button("< prev")
    yield _button("next >")
    visited = state.visited[0][state.clicked[0]].tolist()
    for place in get_shown_products(state)[0].tolist():
        if place >= 0:
            product = store.products[place]
            yield Piece(product.id, "product", place in visited)
            yield Piece(product.title.strip())
            yield Piece(product.price_text)


def _item(state: State, store: Store) -> Iterator[Piece]:
    product = store.products[state.item[0]]
    before = None
    for (name, value), chosen in zip(product.values, state.chosen[0].tolist(), strict=False):
        if name != before:
            yield Piece(name)
        before = name
        yield Piece(value, "option", chosen)
    yield Piece(product.title.strip())
    yield Piece(f"Price: {product.price_text}")
    yield Piece("Rating: N.A.")
    for name in ("description", "features", "reviews", "buy now"):
        yield _button(name)


def _button(name: str) -> Piece:
    return Piece(_CAPTIONS[name], "button")


def _rich(piece: Piece) -> str:
    before = {"plain": "", "button": "", "option": "  ", "product": "\n"}[piece.kind]
    if piece.kind == "plain":
        return piece.text
    name = "clicked button" if piece.clicked else "button"
    return f"{before}[{name}] {piece.text} [{name}_]"
