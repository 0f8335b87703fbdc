"""Texts as rows of hashed words, for policies that read bags of words."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from zlib import crc32

import numpy as np
import numpy.typing as npt

from envs.contract.pytree import Ints
from envs.shopping.catalogue import Product
from envs.shopping.goals import SEARCHES, Goal, searches

Tokens = npt.NDArray[np.int16]

DESCRIPTION_SEEN, FEATURES_SEEN = 1, 2
"""Bits for the parts of a product, other than its title, that an agent has read."""


def words(text: str) -> list[str]:
    """Split a text into words."""
    return re.findall(r"[a-z0-9]+", text.lower().replace("'", ""))


class Vocabulary:
    """Words that are frequent enough to be learnt, each as a number from 1.

    Numbers are hashes, so that a word has the same one in every catalogue; rare words have none
    (they would only name single products).
    """

    def __init__(self, texts: Iterable[str], size: int, min_texts: int) -> None:
        self.size = size
        counts = Counter(word for text in texts for word in set(words(text)))
        self._number = {
            # crc32 and not hash(): Python's own hash of text changes from process to process. 0
            # stays free for padding.
            word: crc32(word.encode()) % (size - 1) + 1
            for word, count in counts.items()
            if count >= min_texts
        }

    def encode(self, text: str) -> list[int]:
        """Encode a text's words as numbers, each once, in the order of the text."""
        number = self._number
        return list(dict.fromkeys(number[word] for word in words(text) if word in number))


@dataclasses.dataclass(frozen=True)
class Texts:
    """Every text that an observation may hold, as one table; row 0 is the empty text."""

    rows: Tokens
    """[texts, length]: numbers of words; 0 behind the last."""
    lengths: Ints
    """[texts]: how many each has."""
    values: Ints
    """[P, V]: the row of each option value of each product; 0 behind the last."""
    first_goal: int
    """Where the rows of goals begin: SEARCHES each, the first of which is the instruction and the
    second the instruction without its price."""

    @staticmethod
    def get_product_rows(product: Ints, seen: Ints) -> Ints:
        """Return the rows of products by what has been read of them; any shape; -1 is empty."""
        return np.where(product < 0, 0, 1 + 4 * product + seen)

    def get_instruction_rows(self, goal: Ints) -> Ints:
        """Return rows [B] of the instructions of goals [B], without their price.

        Its figures say all of a limit that counts, and by its digits a goal would be recognised.
        """
        return self.first_goal + goal * SEARCHES + 1

    def get_search_rows(self, goal: Ints) -> Ints:
        """Return the rows [B, SEARCHES] of the proposed searches."""
        return self.first_goal + goal[:, None] * SEARCHES + np.arange(SEARCHES)

    @staticmethod
    def build(
        products: Sequence[Product],
        goals: Sequence[Goal],
        value_slots: int,
        vocabulary: Vocabulary,
        length: int,
    ) -> Texts:
        """Build the table of a catalogue and its goals, with texts cut at ``length`` words."""
        encode = vocabulary.encode
        names = list(dict.fromkeys(value for product in products for _, value in product.values))
        first_value = 1 + 4 * len(products)
        first_goal = first_value + len(names)
        # int16 holds the largest vocabulary, 32,768 words with 0.
        rows = np.zeros((first_goal + SEARCHES * len(goals), length), np.int16)

        def put(row: int, numbers: Iterable[int]) -> None:
            kept = list(dict.fromkeys(numbers))[:length]
            rows[row, : len(kept)] = kept

        for p, product in enumerate(products):
            title, description = encode(product.title), encode(product.description)
            features = encode(" ".join(product.features))
            # Four rows for each product, one for each set of pages read: an observation is then a
            # row number, and no text is encoded in a step.
            for seen in range(4):
                more = features * (seen // FEATURES_SEEN)
                put(1 + 4 * p + seen, [*title, *more, *description * (seen & DESCRIPTION_SEEN)])
        for index, name in enumerate(names):
            put(first_value + index, encode(name))
        for g, goal in enumerate(goals):
            for i, text in enumerate(searches(goal.instruction)):
                put(first_goal + g * SEARCHES + i, encode(text))
        place_of = {name: first_value + index for index, name in enumerate(names)}
        values = np.zeros((len(products), value_slots), np.int64)
        for p, product in enumerate(products):
            values[p, : len(product.values)] = [place_of[value] for _, value in product.values]
        return Texts(rows, (rows > 0).sum(axis=1), values, first_goal)


def vocabulary_of(
    products: Sequence[Product], instructions: Sequence[str], size: int, min_texts: int
) -> Vocabulary:
    """Count the words of a catalogue's pages and of instructions."""
    return Vocabulary((*map(_page, products), *instructions), size, min_texts)


def _page(product: Product) -> str:
    values = (value for _, value in product.values)
    return " . ".join((product.title, product.description, *product.features, *values))
