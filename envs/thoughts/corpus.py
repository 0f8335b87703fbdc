"""Corpora: passages of a text, the words that follow them, and thoughts that would help.

The algorithmic texts are word problems of a finite group, ``d1 ... dK =`` and the product, which
takes K - 1 sequential steps: more than a network of two layers can do in one pass. Filler between
the problems has an obvious next letter. A tenth of all passages is kept for evaluation.

Tokens: 0 for nothing, 1 the beginning of a thought, 2 ``=``, then filler letters, the end of a
thought, and last the words that a thought may consist of.
"""

from __future__ import annotations

import dataclasses
import itertools
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from envs.contract import counter_rng
from envs.contract.pytree import Bools, Ints, Keys
from envs.language_models import load_tokenizer
from rungwise.validation import InputError

Split: TypeAlias = Literal["train", "test"]

NOTHING, THINK, EQUALS = 0, 1, 2
MARKS = 3
"""Tokens before those of a plain text: nothing, and the beginning and the end of a thought."""
LETTERS = "abcd"
HELD_OUT = 0.1
"""Share of all passages that is never read in training."""


@dataclasses.dataclass(frozen=True)
class Passages:
    """B positions in the text."""

    context: Ints
    """[B, C]: the tokens that have been read."""
    answer: Ints
    """[B, n]: the tokens that follow."""
    hints: Ints
    """[B, T]: a thought that helps, 0 after its end."""
    problem: Bools
    """[B]: whether a thought can help here."""


class Corpus(ABC):
    """A text and its vocabulary.

    Attributes:
        words: each token as text.
        first: the first token of those that a thought may consist of; the one before ends it.
        context, ahead, longest: tokens of a context (C), of the answer (n), of a thought (T).
        about: the parameters as text: corpora with equal texts are equal.
        separator: what stands between two tokens as text.
    """

    words: tuple[str, ...]
    first: int
    context: int
    ahead: int
    longest: int
    about: str
    separator: str = " "

    @property
    def end(self) -> int:
        """The token that ends a thought."""
        return self.first - 1

    def decode(self, tokens: Ints) -> str:
        """Return tokens [L] as text."""
        return self.separator.join(self.words[token] for token in tokens.tolist() if token)

    @property
    def length(self) -> int:
        """Tokens of the longest text: context, thought, its two marks, what follows."""
        return self.context + self.longest + 2 + self.ahead

    @abstractmethod
    def draw(self, keys: Keys, split: Split) -> Passages:
        """Draw passages from a split of the text by keys [B]."""

    @abstractmethod
    def infer_answer(self, passages: Passages, thought: Ints) -> Ints:
        """Return the answer [B] that thoughts [B, T] imply; -1 where none is implied."""


class Problems(Corpus):
    """Word problems of a finite group, and filler.

    Args:
        table: the product of each two elements [S, S].
        names: of the elements.
        terms: how many elements are multiplied, K.
        longest: tokens of the longest thought.
        filler: share of places in the text that are filler.
    """

    ahead = 1

    def __init__(
        self, table: Ints, names: tuple[str, ...], terms: int, longest: int, filler: float
    ) -> None:
        self.table, self.filler, self.longest = table, filler, longest
        self.about = repr((table.tolist(), terms, longest, filler, HELD_OUT))
        self.words = ("", "(", "=", *LETTERS, ")", *names)
        self.first = len(self.words) - len(names)
        self.context = terms + 1
        self.steps = min(longest, terms - 1)
        """How many of the products on the way a thought has room for."""

    def draw(self, keys: Keys, split: Split) -> Passages:
        """See :class:`Corpus`."""
        size, terms = len(self.table), self.context - 1
        elements = np.zeros((len(keys), terms), np.int64)
        open_ = np.arange(len(keys))
        # Rejection sampling: the split of a problem is a hash of it, so copies are redrawn until it
        # fits.
        for attempt in itertools.count():
            tried = counter_rng.integers(counter_rng.fold(keys[open_], attempt), size, (terms,))
            elements[open_] = tried
            open_ = open_[_held_out(tried, size) != (split == "test")]
            if not len(open_):
                break
        sums = self.partial(elements)
        context = np.concatenate([elements + self.first, np.full((len(keys), 1), EQUALS)], 1)
        hints = np.zeros((len(keys), self.longest), np.int64)
        # The last products matter most: a short thought keeps those nearest to the answer.
        hints[:, : self.steps] = sums[:, -self.steps :] + self.first
        problem = counter_rng.uniform(counter_rng.fold(keys, _KIND)) >= self.filler
        run = counter_rng.integers(counter_rng.fold(keys, _LETTER), len(LETTERS))[:, None]
        # Filler is predictable from its context, so a thought cannot help there.
        letters = EQUALS + 1 + (run + np.arange(terms + 2)) % len(LETTERS)
        return Passages(
            np.where(problem[:, None], context, letters[:, :-1]),
            np.where(problem[:, None], sums[:, -1:] + self.first, letters[:, -1:]),
            np.where(problem[:, None], hints, 0),
            problem,
        )

    def partial(self, elements: Ints) -> Ints:
        """Return the products [B, K - 1] of the first 2, 3, ... K elements of [B, K]."""
        so_far, products = elements[:, 0], list[Ints]()
        for term in elements.T[1:]:
            so_far = self.table[so_far, term]
            products.append(so_far)
        return np.stack(products, 1)

    def infer_answer(self, passages: Passages, thought: Ints) -> Ints:
        """See :class:`Corpus`; a thought's last token is taken for the product so far."""
        terms, length = self.context - 1, (thought > 0).sum(1)
        last = np.take_along_axis(thought, np.maximum(length - 1, 0)[:, None], 1)[:, 0]
        so_far = np.maximum(last - self.first, 0)
        elements = passages.context[:, :terms] - self.first
        for k in range(1, terms):  # the terms that the thought has not reached yet
            unread = k >= terms - self.steps + length
            so_far = np.where(unread, self.table[so_far, elements[:, k] % len(self.table)], so_far)
        return np.where(passages.problem & (length > 0), so_far + self.first, -1)


class PlainText(Corpus):
    """A user's text, letter by letter; the thought that helps is a draft of what follows.

    Args:
        text: what is read; its last tenth is kept for evaluation.
        context: letters of a context.
        ahead: letters that are predicted.
        longest: letters of the longest thought.
    """

    separator = ""
    unit = "letters"
    """The unit in which the text is counted."""

    def __init__(self, text: str, context: int, ahead: int, longest: int) -> None:
        self.context, self.ahead, self.longest = context, ahead, longest
        self.about = repr((text, context, ahead, longest, HELD_OUT))
        self.first = MARKS
        tokens, numbers = self._tokenise(text)
        self.words = ("", "(", ")", *tokens)
        self.text = self.first + np.array(numbers, np.int64)
        # The training part ends a span before the border: no training passage reaches into the text
        # for evaluation.
        count, span = len(numbers), context + max(ahead, longest)
        border = int(count * (1 - HELD_OUT))
        if count - border <= span:
            raise InputError(
                f"The text has {count} {self.unit}, but to predict {ahead} of them after {context} "
                f"it needs at least {int((span + 2) / HELD_OUT)}: give a longer text, or a shorter "
                "context."
            )
        self.parts: dict[Split, tuple[int, int]] = {
            "train": (0, border - span),
            "test": (border, count - span),
        }

    def _tokenise(self, text: str) -> tuple[list[str], list[int]]:
        """Return the tokens as text, and the numbers of those that the text is made of."""
        letters = sorted(set(text))
        if len(letters) > MOST_LETTERS:
            raise InputError(
                f"The text is written in {len(letters)} different letters, and a thought may be "
                f"made of at most {MOST_LETTERS}: reduce it to those that matter."
            )
        number = {letter: index for index, letter in enumerate(letters)}
        return letters, [number[letter] for letter in text]

    @classmethod
    def of(cls, path: str, *args: Any, **kwargs: Any) -> Self:
        """Read the text of a file; other arguments are those of the class.

        Raises:
            InputError: it cannot be read, is too short, or is written in too many letters.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"text={path!r} cannot be read as a text: {error}.") from error
        return cls(text, *args, **kwargs)

    def draw(self, keys: Keys, split: Split) -> Passages:
        """See :class:`Corpus`."""
        low, high = self.parts[split]
        start = low + counter_rng.integers(keys, high - low)
        read = self.text[start[:, None] + np.arange(self.context)]
        after = start[:, None] + self.context + np.arange(max(self.ahead, self.longest))
        follows = self.text[after]
        everywhere = np.ones(len(keys), np.bool_)
        return Passages(read, follows[:, : self.ahead], follows[:, : self.longest], everywhere)

    def infer_answer(self, passages: Passages, thought: Ints) -> Ints:
        """Return -1: a draft of a plain text implies no answer."""
        return np.full(len(thought), -1)


class Tokens(PlainText):
    """A user's text in the tokens of the Hugging Face model in ``folder``, counted from 3."""

    unit = "tokens"

    def __init__(self, text: str, context: int, ahead: int, longest: int, folder: str) -> None:
        self.tokenizer = load_tokenizer(folder)
        super().__init__(text, context, ahead, longest)
        self.about = repr((self.about, folder))

    def _tokenise(self, text: str) -> tuple[list[str], list[int]]:
        # The whole text at once may be longer than the model reads: it never reads the whole.
        numbers = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer))), numbers

    def decode(self, tokens: Ints) -> str:
        """See :class:`Corpus`."""
        marks, text = {1: "(", 2: ")"}, ""
        for mark, run in itertools.groupby((t for t in tokens.tolist() if t), lambda t: min(t, 3)):
            numbers = [token - MARKS for token in run]
            text += marks.get(mark) or self.tokenizer.decode(numbers)
        return text


def cyclic(modulus: int) -> tuple[Ints, tuple[str, ...]]:
    """Return the table of sums modulo a number, and the names of the elements."""
    each = np.arange(modulus)
    return (each[:, None] + each) % modulus, tuple(map(str, each.tolist()))


def symmetric(degree: int) -> tuple[Ints, tuple[str, ...]]:
    """Return the composition table of the permutations of a number of things, and their names."""
    each = list(itertools.permutations(range(degree)))
    index = {permutation: number for number, permutation in enumerate(each)}
    table = [[index[tuple(then[i] for i in first)] for then in each] for first in each]
    return np.array(table, np.int64), tuple("".join(map(str, p)) for p in each)


MOST_LETTERS = 250
_KIND, _LETTER = 2**20, 2**20 + 1
"""Random streams of an episode; the numbers below them are attempts."""


def _held_out(elements: Ints, size: int) -> Bools:
    """Return which problems [B] of elements [B, K] a hash keeps for evaluation."""
    # The problem as a number in base S, injective while S^K fits 64 bits.
    code = elements @ (size ** np.arange(elements.shape[1], dtype=np.uint64)).astype(np.int64)
    return counter_rng.uniform(counter_rng.make_keys_from_seeds(code.astype(np.uint64))) < HELD_OUT
