"""The observation for a language model: a prompt for each page and a text for each action.

The prompt holds the instruction and what is known of the open item; clicks and searches are not in
it but separate candidates, so that no text is read twice. Both are token numbers from 1, and 0
behind the last.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from envs.contract.pytree import Array, take
from envs.language_models import load_tokenizer
from envs.shopping import pages
from envs.shopping.goals import searches
from envs.shopping.pages import BUTTONS, ITEM, LISTED, RESULTS, START
from envs.shopping.state import State
from envs.shopping.store import Store
from envs.shopping.texts import DESCRIPTION_SEEN, FEATURES_SEEN
from rungwise.validation import InputError


class Tokenizer(Protocol):
    """Texts to numbers from 0."""

    size: int
    """How many different tokens there are."""

    def encode_prompt(self, text: str) -> list[int]:
        """Return the tokens of a prompt."""
        ...

    def encode_answer(self, text: str) -> list[int]:
        """Return the tokens of an answer."""
        ...


class Words:
    """A tokenizer of the words, digits and signs that enough texts have, and one for all others."""

    def __init__(self, texts: Iterable[str], min_texts: int) -> None:
        counts = Counter(word for text in texts for word in set(_words(text)))
        # Sorted, so that equal catalogues give equal numbers in every process.
        kept = sorted({*_LABELS, *(word for word, n in counts.items() if n >= min_texts)})
        self._number = {word: number for number, word in enumerate(kept, 1)}
        self.size = len(kept) + 1

    def encode_prompt(self, text: str) -> list[int]:
        """See :class:`Tokenizer`."""
        return self.encode_answer(text)

    def encode_answer(self, text: str) -> list[int]:
        """See :class:`Tokenizer`."""
        return [self._number.get(word, 0) for word in _words(text)]


class Pretrained:
    """The tokenizer of a Hugging Face model in a folder; prompts in its chat form, if it has one.

    Raises:
        InputError: there is no such folder, or no tokenizer in it.
    """

    def __init__(self, folder: str) -> None:
        self._own: Any = load_tokenizer(folder)
        self.size = len(self._own)
        if not self.encode_answer(
            BUTTONS[-1]
        ):  # read as one of another make, it finds nothing in a text
            raise InputError(f"The tokenizer in {folder} makes no tokens of {BUTTONS[-1]!r}.")

    def encode_prompt(self, text: str) -> list[int]:
        """See :class:`Tokenizer`."""
        if not self._own.chat_template:
            return self.encode_answer(text)
        said = [{"role": "user", "content": text}]
        return self._own.apply_chat_template(said, add_generation_prompt=True, return_dict=False)

    def encode_answer(self, text: str) -> list[int]:
        """See :class:`Tokenizer`."""
        return self._own(text, add_special_tokens=False)["input_ids"]


class LanguageObservation:
    """Observations of a shop for a language model.

    Args:
        store: the shop.
        folder: of the model whose tokens are meant; empty: the catalogue's own words.
        prompt, answer: how many tokens P of a prompt and A of an action are kept.
        min_texts: words in fewer texts share one token (without a folder).
    """

    def __init__(self, store: Store, folder: str, prompt: int, answer: int, min_texts: int) -> None:
        self.store, self.slots = store, pages.count_slots(store)
        self.tokens: Tokenizer = (
            Pretrained(folder) if folder else Words(_list_vocabulary_texts(store), min_texts)
        )
        # Episodes share pages, so each text is encoded once.
        self._prompt = functools.lru_cache(2**14)(self._row_of(self.tokens.encode_prompt, prompt))
        self._answer = functools.lru_cache(2**14)(self._row_of(self.tokens.encode_answer, answer))
        high = self.tokens.size
        self.space = spaces.Dict(
            {
                "prompt": spaces.Box(0, high, (prompt,), np.int32),
                "candidates": spaces.Box(0, high, (self.slots, answer), np.int32),
                "mask": spaces.Box(0.0, 1.0, (self.slots,), np.float32),
            }
        )

    def observe(self, state: State) -> dict[str, Array]:
        """Return ``prompt`` [B, P], ``candidates`` [B, K, A] and ``mask`` [B, K] of a state."""
        mask = pages.compute_legal_mask(state, self.store)
        copies = range(len(mask))
        prompts = [self._prompt(prompt_text(state, b, self.store)) for b in copies]
        answers = [
            [self._answer(text) for text in action_texts(state, b, mask[b], self.store)]
            for b in copies
        ]
        return {
            "prompt": np.array(prompts, np.int32),
            "candidates": np.array(answers, np.int32),
            "mask": mask.astype(np.float32),
        }

    @staticmethod
    def _row_of(encode: Callable[[str], list[int]], length: int) -> Callable[[str], Array]:
        """Return a function from a text to token numbers from 1 [length]; longer texts are cut."""

        def row(text: str) -> Array:
            numbers, kept = encode(text), text.split(" ")
            # From the end of the text, not of its tokens: the form of a chat stays whole.
            while len(numbers) > length and len(kept) > 1:
                # Shortened in proportion to the excess: a few encodings suffice instead of one per
                # word.
                kept = kept[: min(len(kept) - 1, len(kept) * length // len(numbers) + 1)]
                numbers = encode(" ".join(kept))
            padded = np.zeros(length, np.int32)
            # Shifted by 1, because 0 is padding.
            padded[: len(numbers)] = np.array(numbers[:length]) + 1
            return padded

        return row


def prompt_text(state: State, copy: int, store: Store) -> str:
    """Return the instruction and the page of one copy, without what can be clicked."""
    page = int(state.page[copy])
    said = f"{_LABELS[page]} : {store.goals[state.goal[copy]].instruction}"
    if page == RESULTS:
        return f"{said} ; page {state.number[copy]}"
    if state.item[copy] < 0:
        return said
    product = store.products[state.item[copy]]
    parts = [said, f"{product.title} {product.price_text}"]
    chosen = zip(product.values, state.chosen[copy].tolist(), strict=False)
    parts += [f"chosen {name} {value}" for (name, value), is_chosen in chosen if is_chosen]
    is_open = state.visited[copy] == state.item[copy]
    seen = int(state.seen[copy][is_open].max(initial=0))
    parts += [product.description] * bool(seen & DESCRIPTION_SEEN)
    parts += product.features * bool(seen & FEATURES_SEEN)
    return " ; ".join(parts)


def action_texts(state: State, copy: int, mask: Array, store: Store) -> list[str]:
    """Return the text of each action [K] of one copy; empty where it is not legal.

    A product is called by its place, title and price and not by its number in the catalogue, which
    no words lead to.
    """
    own = take(state, np.array([copy]))
    page, listed = int(own.page[0]), list[str]()
    if page == START:
        listed = list(searches(store.goals[own.goal[0]].instruction))
    elif page == RESULTS:
        shown = [
            store.products[p] if p >= 0 else None for p in pages.get_shown_products(own)[0].tolist()
        ]
        listed = [f"{i} : {p.title} {p.price_text}" if p else "" for i, p in enumerate(shown)]
    elif page == ITEM:
        listed = [f"{name} {value}" for name, value in store.products[own.item[0]].values]
    texts = [*BUTTONS, *listed, *[""] * (len(mask) - LISTED - len(listed))]
    return [text if is_legal else "" for text, is_legal in zip(texts, mask.tolist(), strict=True)]


_LABELS = ("start", "results", "item", "description", "features", "reviews", "done")
"""Label of a page in a prompt, by its kind."""


def _words(text: str) -> list[str]:
    """Split a text into words without apostrophes, digits and signs."""
    return re.findall(r"[a-z]+|\d|[^\sa-z\d]", text.lower().replace("'", ""))


def _list_vocabulary_texts(store: Store) -> Iterator[str]:
    """List every text that the vocabulary is counted in; buttons' words always stay."""
    for product in store.products:
        values = (f"{name} {value}" for name, value in product.values)
        price = f"{product.price_text} page chosen ; :"
        yield " ".join((product.title, product.description, *product.features, *values, price))
        yield " ".join(BUTTONS)
    yield from store.vocabulary_instructions
