"""The reward of a purchase: WebShop's, part by part (goal.py, MIT)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from envs.shopping.catalogue import CATEGORY_STEP, Product
from envs.shopping.goals import Goal
from envs.shopping.matching import alike, first_color, whole_color

Compat: TypeAlias = Literal["webshop", "strict"]
"""``webshop``: with its quirks. ``strict``: colours are whole words, an option must be the one that
was named, and a product found under the goal's own search or category is of the right type."""


@dataclasses.dataclass(frozen=True)
class Reward:
    """The parts of a reward."""

    type: float
    """Factor for the type of product: 1, 0.5, 0.1 or 0."""
    attributes: int
    """How many of the goal's attributes the product has."""
    options: int
    """How many of the goal's options were chosen."""
    price: bool
    """Whether the price is within the limit."""
    wanted: int
    """Attributes and options of the goal, and one for the price."""
    query_match: bool
    category_match: bool
    title_score: float

    @property
    def total(self) -> float:
        """In [0, 1]; 1 is a success."""
        return self.type * (self.attributes + self.options + self.price) / self.wanted


def compute_reward(
    goal: Goal, product: Product, chosen: Sequence[tuple[str, str]], compat: Compat = "webshop"
) -> Reward:
    """Compute the reward for buying a product with the chosen (option name, value)."""
    title = _title_score(product.nouns, goal.target.nouns)
    same_query = product.query == goal.target.query
    # Two shared steps of the category tree, as in the original; one would match whole departments.
    same_category = len(_places(product) & _places(goal.target)) >= 2
    return Reward(
        type=_type(same_query or same_category, title, compat),
        attributes=sum(_has(product, attribute) for attribute in goal.attributes),
        options=_options(goal.options, chosen, compat),
        price=product.price <= goal.price_upper,
        wanted=len(goal.attributes) + len(goal.options) + 1,
        query_match=same_query,
        category_match=same_category,
        title_score=title,
    )


def _title_score(bought: Sequence[str], wanted: Sequence[str]) -> float:
    # The denominator counts repeats, as the original's does.
    return len(set(bought) & set(wanted)) / len(wanted) if wanted else 0.2


def _places(product: Product) -> set[str]:
    return {part.strip() for part in product.category.split(CATEGORY_STEP)}


def _type(is_match: bool, title: float, compat: Compat) -> float:
    # The original lowers the reward of a product of the right type whose title shares no noun; the
    # strict form does not.
    if compat == "strict" and is_match:
        return 1.0
    # Thresholds are WebShop's: 0, 0.1 and 0.2 of the target's nouns.
    if title == 0:
        return 0.0
    if title < 0.1:
        return 0.1
    return 1.0 if is_match or title > 0.2 else 0.5


def _has(product: Product, attribute: str) -> bool:
    # Fuzzy against the shop's records, then literal in the text of the page.
    listed = any(alike(a, attribute) for a in product.attributes)
    return listed or any(attribute in text for text in product.searchable)


def _options(
    wanted: Iterable[tuple[str, str]], chosen: Sequence[tuple[str, str]], compat: Compat
) -> int:
    if compat == "strict":
        return sum(_chosen_exactly(name, value, chosen) for name, value in wanted)
    values = [first_color(value) for _, value in chosen]
    matched = 0
    for name, value in wanted:
        # A tuple on purpose: the original passes pairs where the goal names the option, and its
        # result differs.
        phrase = first_color((name, value) if name else value)
        matched += any(alike(v, phrase) for v in values)
    return matched


def _chosen_exactly(name: str, value: str, chosen: Iterable[tuple[str, str]]) -> bool:
    return any(
        name in ("", own_name) and alike(whole_color(picked), whole_color(value))
        for own_name, picked in chosen
    )
