"""Everything about a shop that no episode changes, as records and as arrays."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Annotated, Literal

import numpy as np

from envs.contract.pytree import Array, Floats, Ints
from envs.shopping import catalogue, generator
from envs.shopping.catalogue import Product
from envs.shopping.goals import Goal, Split, families_of, from_requests, limit_in
from envs.shopping.matching import spacy_nouns, title_nouns
from envs.shopping.reward import Compat, Reward, compute_reward
from envs.shopping.search import RETURNED, Tantivy
from envs.shopping.texts import Texts, vocabulary_of
from rungwise.cache_folder import get_cache_folder
from rungwise.optional_imports import import_extra
from rungwise.validation import AtLeastOne, Between, InputError, NonNegative, validate


@dataclasses.dataclass(frozen=True)
class Source:
    """Where products, goals and texts come from; worlds of equal sources share one store."""

    products: Annotated[int, NonNegative] = 1000
    """Number of products of a generated catalogue; of the original's files, the number of records
    to read (0: all)."""
    seed: Annotated[int, NonNegative] = 0
    """Seed of the catalogue, the goals and the splits."""
    split: Split = "train"
    """The split whose goals are used; no family of products is in two splits."""
    goals: Annotated[int, AtLeastOne] = 10_000
    """Number of goals to generate; the original's files contain theirs."""
    words: Annotated[int, Between(8, 512)] = 48
    """Largest number of words of a text that are observed."""
    vocabulary: Annotated[int, Between(256, 32_768)] = 8192
    """Number of hash buckets for words: ten times the number of words keeps 90 % of them
    distinct."""
    min_texts: Annotated[int, AtLeastOne] = 5
    """Words in fewer texts are not observed: they would only identify products."""
    data: str = ""
    """A folder with WebShop's files; empty: a generated catalogue."""
    human: bool = False
    """Whether to use the instructions that people wrote (data)."""
    nouns: Literal["lexicon", "spacy"] = "lexicon"
    """The tagger that finds the nouns of a title (data); the original's is spacy."""

    def __post_init__(self) -> None:
        validate(self)
        if not self.data and self.products < 1:
            raise InputError(
                "A generated catalogue needs products, but products is 0: 0 means all records of "
                "the files in data, which is empty."
            )


class Store:
    """The products, goals, texts and search engine of one shop; pickled as its source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.products, goals_of = _load_products(source)
        self.goals: list[Goal] = goals_of(source.split, source.goals)
        if not self.goals:
            raise InputError(
                f"The split {source.split!r} of these {len(self.products)} products has no goals: "
                "use more products."
            )
        self.engine = Tantivy([product.document for product in self.products], get_cache_folder())
        index = {product.id: p for p, product in enumerate(self.products)}
        self.targets: Ints = np.array([index[goal.target.id] for goal in self.goals])
        # Cumulative, so that drawing a goal is one binary search per copy.
        weights = np.cumsum([goal.weight for goal in self.goals])
        self.cumulative_weights: Floats = weights / weights[-1]
        self.limits: Floats = np.array([limit_in(goal.instruction) for goal in self.goals])
        # The price that the page shows first; the reward uses the exact one.
        self.prices: Floats = np.array([(p.prices or (p.price,))[0] for p in self.products])
        self.value_count: Ints = np.array([len(p.values) for p in self.products])
        self.value_slots = max(_VALUE_SLOTS, int(self.value_count.max()))
        self.group_of: Ints = _groups(self.products, self.value_slots)
        self.group_count: Ints = self.group_of.max(axis=1) + 1
        # All splits have the same words, from training instructions only.
        self.vocabulary_instructions = [
            goal.instruction for goal in goals_of("train", _HEARD)[:_HEARD]
        ]
        words = vocabulary_of(
            self.products, self.vocabulary_instructions, source.vocabulary, source.min_texts
        )
        self.texts = Texts.build(self.products, self.goals, self.value_slots, words, source.words)
        self.instruction_bits: Array = _bits(
            self.texts.rows[self.texts.get_instruction_rows(np.arange(len(self.goals)))],
            source.vocabulary,
        )
        # Caches belong to the instance: one on the method would keep every store alive.
        self.search: Callable[[str], Ints] = functools.lru_cache(2**15)(self._search)
        self.compute_matches: Callable[[int, int], Array] = functools.lru_cache(2**15)(
            self._matches
        )
        self.compute_reward: Callable[..., Reward] = functools.lru_cache(2**15)(
            self._compute_reward
        )

    def __reduce__(self) -> tuple[Callable[[Source], Store], tuple[Source]]:
        # Everything follows from the source, and one process needs one store of it.
        return get_store, (self.source,)

    def _search(self, query: str) -> Ints:
        """Search: indices [RETURNED] of products, best first, -1 behind the last."""
        listed = np.full(RETURNED, -1)
        places = self.engine.search(query)
        listed[: len(places)] = places
        return listed

    def _matches(self, goal: int, product: int) -> Array:
        """Compute how well a product's option values match an instruction's words [V, 3].

        Token-set ratio and partial ratio in [0, 1], and whether a value's sum is best in its group.
        """
        fuzz = import_extra("rapidfuzz.fuzz", "shop")
        instruction = self.goals[goal].instruction.lower()
        matches = np.zeros((self.value_slots, 3), np.float32)
        best: dict[str, tuple[float, int]] = {}
        for slot, (name, value) in enumerate(self.products[product].values):
            matches[slot, 0] = a = fuzz.token_set_ratio(instruction, value) / 100
            matches[slot, 1] = b = fuzz.partial_ratio(instruction, value) / 100
            if name not in best or a + b > best[name][0]:
                best[name] = a + b, slot
        matches[[slot for _, slot in best.values()], 2] = 1
        return matches

    def _compute_reward(
        self, goal: int, product: int, slots: tuple[int, ...], compat: Compat
    ) -> Reward:
        """Compute the reward for buying a product with the values in these slots chosen."""
        item = self.products[product]
        return compute_reward(self.goals[goal], item, [item.values[slot] for slot in slots], compat)


@functools.lru_cache(4)
def get_store(source: Source) -> Store:
    """Return the store of a source, made once in a process."""
    return Store(source)


_VALUE_SLOTS = 18
"""Option values that a page has room for at least: as many as any generated product has, so that
all generated catalogues have the same actions."""
_HEARD = 10_000
"""Number of training instructions whose words count for the vocabulary: enough for every way to ask
for an option to occur in at least ``min_texts`` of them."""


def _load_products(source: Source) -> tuple[Sequence[Product], Callable[[Split, int], list[Goal]]]:
    """Return the products of a source, and a function that draws goals of a split."""
    if not source.data:
        products = generator.generate_catalogue(source.products, source.seed)

        def generate(split: Split, count: int) -> list[Goal]:
            part = _select_split(products, split, source.seed)
            return generator.generate_goals(part, count, f"{source.seed} {split}") if part else []

        return products, generate
    files = catalogue.find_files(Path(source.data), source.human)
    nouns = spacy_nouns() if source.nouns == "spacy" else title_nouns
    loaded = catalogue.load(*files, limit=source.products or None, nouns=nouns)

    def listed(split: Split, count: int) -> list[Goal]:
        return from_requests(
            _select_split(loaded, split, source.seed), Random(f"goals {source.seed}")
        )

    return loaded, listed


def _select_split(products: Sequence[Product], split: Split, seed: int) -> list[Product]:
    inside = families_of([product.family for product in products], split, seed)
    return [product for product, is_own in zip(products, inside, strict=True) if is_own]


def _groups(products: Sequence[Product], value_slots: int) -> Ints:
    """Return the index of the option [P, V] that each value belongs to; -1 for no value."""
    groups = np.full((len(products), value_slots), -1)
    for p, product in enumerate(products):
        places = {name: index for index, name in enumerate(product.options)}
        groups[p, : len(product.values)] = [places[name] for name, _ in product.values]
    return groups


def _bits(rows: Array, vocabulary: int) -> Array:
    """Pack the words of rows [G, L] into bits [G, vocabulary / 8], lowest bit first."""
    # One bit per word of the vocabulary: 1 KB for each goal at 8192 words.
    packed = np.zeros((len(rows), vocabulary // 8 + 1), np.uint8)
    words = rows.astype(np.int64)
    goal = np.arange(len(rows))[:, None]
    # .at, because several words of a row may fall into the same byte.
    np.bitwise_or.at(packed, (goal, words >> 3), (1 << (words & 7)).astype(np.uint8))
    packed[:, 0] &= 0xFE  # the padding is no word
    return packed
