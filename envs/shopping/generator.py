"""Catalogues and goals from a seed: hard for rules, fair for a reader.

Departments have families (``bedroom lamp``), whose products are each other's distractors: same
type, overlapping attributes and options. Pages print some attributes in other words, and most
instructions use words that no page has, so that meanings have to be learnt.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from envs.shopping.catalogue import CATEGORY_STEP, Product
from envs.shopping.goals import NO_LIMIT, Goal, price_limit, price_phrase
from envs.shopping.lexicon import DEPARTMENTS, OPTIONS, TEMPLATES, Department, Term


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a catalogue and its instructions are made."""

    pool: int = 10
    """Attributes that products of a family choose from."""
    attributes: int = 4
    """Attributes of a product."""
    in_title: float = 0.55
    """Probability that an attribute is in the title; it is a bullet point in any case."""
    other_word: float = 0.4
    """Probability that the page prints an attribute in other words than the shop's own."""
    missing: float = 0.3
    """Probability that a product lacks an option value of its family."""
    no_options: float = 0.05
    """Probability that a product has no options."""
    paraphrased: float = 0.75
    """Probability that an instruction asks for an attribute in words no page has."""
    mentioned: float = 0.95
    """Probability that an instruction asks for a value of an option."""
    option_paraphrased: float = 0.55
    """Probability that it does so in words no page has."""
    no_limit: float = 0.1
    """Probability that it says nothing about the price."""


RECIPE = Recipe()
Thing = TypeVar("Thing")
_SYLLABLES = [a + b for a in "bcdfghjklmnprstvwz" for b in "aeiou"]
_PLACES = ("living rooms", "busy days", "weekend trips", "gifts", "small homes", "every season")


@dataclasses.dataclass(frozen=True)
class _Family:
    number: int
    department: Department
    modifier: str
    noun: str
    attributes: tuple[Term, ...]
    options: dict[str, tuple[Term, ...]]
    price: float

    @property
    def name(self) -> str:
        return f"{self.modifier} {self.noun}"


@functools.lru_cache(8)
def generate_catalogue(products: int, seed: int, recipe: Recipe = RECIPE) -> tuple[Product, ...]:
    """Generate products, spread evenly over the 120 families."""
    # Python's generator, seeded by text: its sequence is the same on every platform and version of
    # numpy.
    rng = Random(f"catalogue {seed}")
    families = [
        _family(number, *kind, rng, recipe)
        for number, kind in enumerate(
            (department, modifier, noun)
            for department in DEPARTMENTS
            for noun, modifier in itertools.product(department.nouns, department.modifiers)
        )
    ]
    rounds = -(-products // len(families))
    # Whole rounds over all families, so that their sizes differ by at most one product.
    order = [family for _ in range(rounds) for family in rng.sample(families, len(families))]
    return tuple(_product(i, order[i], rng, recipe) for i in range(products))


def generate_goals(
    products: Sequence[Product], count: int, seed: str, recipe: Recipe = RECIPE
) -> list[Goal]:
    """Draw goals for products of a generated catalogue."""
    rng = Random(f"goals {seed}")
    return [_goal(rng.choice(products), rng, recipe) for _ in range(count)]


def _family(
    number: int,
    department: Department,
    modifier: str,
    noun: str,
    rng: Random,
    recipe: Recipe,
) -> _Family:
    names = _some(tuple(OPTIONS), rng.randint(1, 3), rng)
    return _Family(
        number,
        department,
        modifier,
        noun,
        _some(department.attributes, recipe.pool, rng),
        {name: _some(OPTIONS[name], rng.randint(4, 6), rng) for name in names},
        rng.uniform(8, 120),
    )


def _product(i: int, family: _Family, rng: Random, recipe: Recipe) -> Product:
    terms = _some(family.attributes, recipe.attributes, rng)
    # Pages print synonyms, so that matching words literally is not enough.
    printed = [t.shown if rng.random() < recipe.other_word else t.name for t in terms]
    name, brand = family.name, "".join(rng.choices(_SYLLABLES, k=3))
    in_title = [words for words in printed if rng.random() < recipe.in_title]
    place = rng.choice(_PLACES)
    price = round(family.price * rng.uniform(0.5, 2.5), 2)
    return Product(
        id=f"B0{i:08X}",
        title=" ".join((brand, *in_title, name)).title().replace("'S", "'s"),
        # Enough of the type's words that a search finds the family before its neighbours.
        description=f"This {name} is for {place}: the {name} that {name} lovers ask for.",
        features=tuple(words.capitalize() for words in printed),
        department=family.department.name,
        query=name,
        category=f" {CATEGORY_STEP} ".join((family.department.name, family.noun, name)),
        prices=(price,),
        price=price,
        options={} if rng.random() < recipe.no_options else _stock(family, rng, recipe),
        attributes=tuple(term.name for term in terms),
        nouns=(family.noun,),
        family=family.number,
    )


def _stock(family: _Family, rng: Random, recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Draw a product's option values from its family's: option name -> at least one value."""
    stock: dict[str, tuple[str, ...]] = {}
    for name, terms in family.options.items():
        kept = [term.name for term in terms if rng.random() >= recipe.missing]
        # An option without any value could not be chosen.
        stock[name] = tuple(kept or [rng.choice(terms).name])
    return stock


def _goal(product: Product, rng: Random, recipe: Recipe) -> Goal:
    attributes = _some(product.attributes, rng.randint(1, 3), rng)
    requests = [_phrase_term(_TERMS[name], recipe.paraphrased, rng) for name in attributes]
    options: list[tuple[str, str]] = []
    for values in product.options.values():
        if rng.random() < recipe.mentioned:
            value = rng.choice(values)
            options.append(("", value))
            requests.append(_phrase_term(_VALUES[value], recipe.option_paraphrased, rng))
    is_free = rng.random() < recipe.no_limit
    price_upper = NO_LIMIT if is_free else price_limit(product.price, rng)
    text = rng.choice(TEMPLATES).format(
        type=product.query, requests="".join(f", {w}" for w in requests)
    )
    return Goal(product, text + price_phrase(price_upper), attributes, tuple(options), price_upper)


def _phrase_term(term: Term, paraphrased: float, rng: Random) -> str:
    """Phrase a term in the words of an instruction."""
    if rng.random() < paraphrased:
        return rng.choice(term.asked)
    return term.name


def _some(things: Sequence[Thing], count: int, rng: Random) -> tuple[Thing, ...]:
    return tuple(rng.sample(things, min(count, len(things))))


_TERMS = {term.name: term for department in DEPARTMENTS for term in department.attributes}
_VALUES = {term.name: term for terms in OPTIONS.values() for term in terms}
