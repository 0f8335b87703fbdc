"""Goals of buyers, from a catalogue's requests, and the parsing of their instructions."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Literal, TypeAlias

import numpy as np

from envs.contract.pytree import Bools
from envs.shopping.catalogue import Product, Request

Split: TypeAlias = Literal["train", "validation", "test"]
SHARES: dict[Split, float] = {"train": 0.6, "validation": 0.15, "test": 0.25}
"""Share of the families in each split."""

NO_LIMIT = 1_000_000.0
"""The price limit of a goal that names none."""
TENS = tuple(10.0 * i for i in range(1, 100))
"""Possible price limits in dollars."""

_LIMIT = re.compile(r",? *(?:and )?price lower than (\d+(?:\.\d+)?) dollars")
_STOP = """
a about am an and any are as at be buy by can could do for find from get give had has have i i'd i'm
in is it looking me my need of on one or please preferably should show some something that the there
this to want wanted wants which will with would you
"""
_STOP_WORDS = frozenset(_STOP.split())


@dataclasses.dataclass(frozen=True)
class Goal:
    """One purchase to make."""

    target: Product
    """The product that the instruction was written for."""
    instruction: str
    attributes: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    """(name, value) of each option asked for; the name is empty where only a value is known."""
    price_upper: float
    """Dollars."""
    weight: float = 1.0
    """Relative frequency with which the goal is drawn."""


def from_requests(products: Sequence[Product], rng: Random) -> list[Goal]:
    """Make all goals of the products' requests [WebShop, goal.py].

    A request without options makes one goal for each combination of the product's options, weighted
    by how rare its attributes are.
    """
    goals: list[Goal] = []
    combined: list[bool] = []
    for product in products:
        for request in product.requests:
            requested = _goals_of(product, request, price_limit(product.price, rng))
            goals += requested
            combined += [request.options is None] * len(requested)
    # Weights need the counts over all goals, so they are set in a second pass.
    counts = Counter(attribute for goal in goals for attribute in goal.attributes)
    return [
        dataclasses.replace(goal, weight=float(np.mean([1 / counts[a] for a in goal.attributes])))
        if is_combined
        else goal
        for goal, is_combined in zip(goals, combined, strict=True)
    ]


def _goals_of(product: Product, request: Request, price_upper: float) -> list[Goal]:
    price = price_phrase(price_upper)
    if request.options is not None:
        options = tuple(("", value) for value in request.options)
        return [Goal(product, request.text + price, request.attributes, options, price_upper)]
    names = sorted(product.options)
    goals: list[Goal] = []
    # One goal for each combination, as in the original; families with many options thus have many
    # goals.
    for values in itertools.product(*(product.options[name] for name in names)):
        options = tuple(zip(names, values, strict=True))
        asked = ", and ".join(f"{name}: {value}" for name, value in options)
        text = request.text + (f" with {asked}" if asked else "") + price
        goals.append(Goal(product, text, request.attributes, options, price_upper))
    return goals


def price_limit(price: float, rng: Random) -> float:
    """Draw a price limit: the larger of two of the next four tens of dollars above a price."""
    above = [ten for ten in TENS if ten > price][:4]
    return max(rng.sample(above, 2)) if len(above) >= 2 else NO_LIMIT


def price_phrase(price_upper: float) -> str:
    """Return the end of an instruction: its price limit in words."""
    if price_upper == NO_LIMIT:
        return ""
    return f", and price lower than {price_upper:.2f} dollars"


def limit_in(instruction: str) -> float:
    """Parse the price limit in an instruction, infinite where it has none."""
    match = _LIMIT.search(instruction)
    return float(match[1]) if match else float("inf")


SEARCHES = 5
"""How many searches are proposed for an instruction."""


def searches(instruction: str) -> tuple[str, ...]:
    """Return the proposed searches, made of the instruction's words only [SEARCHES].

    The whole of it, without the price, its words of content, and the two halves of those.
    """
    # An instruction that is a price limit alone still needs a query.
    unpriced = _LIMIT.sub("", instruction).strip(" ,.") or instruction
    words = [w for w in re.findall(r"[a-z0-9'&-]+", unpriced.lower()) if w not in _STOP_WORDS]
    content, half = " ".join(words) or unpriced, (len(words) + 1) // 2
    first, second = " ".join(words[:half]), " ".join(words[half:])
    return instruction, unpriced, content, first or content, second or content


def families_of(families: Sequence[int], split: Split, seed: int) -> Bools:
    """Return which products [P] belong to a split, by family [P]; no family is in two."""
    names = np.unique(families)
    # Families are split and not products: near-identical products on both sides would leak the test
    # goals.
    order = np.random.default_rng([seed, _SPLIT]).permutation(names)
    # Cumulative shares are rounded, not the shares: the splits then cover every family exactly
    # once.
    ends = np.round(np.cumsum([0.0, *SHARES.values()]) * len(order)).astype(int)
    index = list(SHARES).index(split)
    return np.isin(families, order[ends[index] : ends[index + 1]])


_SPLIT = 0x73706C69
