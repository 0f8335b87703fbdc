"""A policy that scores each candidate by its words and figures: any number of them, in one pass.

Words are compared where they differ: the figures already hold what a candidate has in common with
the instruction, so only the relation between the other words of both is learnt. Comparing all
words, a policy learns more of the products of its training by heart (their type and price limit
in an instruction give them away), which is of no use where they are not sold.

Reads a Dict observation with ``candidates [K, L]`` (numbers of words; 0 is none), the words of the
``instruction [L]`` and, where there are any, of the ``page [L]``, ``kinds [K]`` (whole numbers),
``figures [K, F]``, ``context [C]`` and ``mask [K]``. Illegal candidates are not even looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from algos.actions.choices import ILLEGAL_LOGIT
from algos.models.base import MASK, PolicyModule, initialise_linear
from rungwise.validation import InputError

HEADS, SIZE = 4, 16
"""How many likenesses of two texts there are, and how many numbers of a word each is made of."""
SCALE = 0.3
"""Scale of a bag of words, which sets how fast words are learnt compared with the other weights."""
MET, OPEN = 1, 2
"""Status of an instruction's word: the page has it, or not yet; 0 marks all other words."""
INSTRUCTION, PAGE, CANDIDATES = "obs.instruction", "obs.page", "obs.candidates"
KINDS, FIGURES, CONTEXT = "obs.kinds", "obs.figures", "obs.context"
TEXTS = (INSTRUCTION, PAGE, CANDIDATES)


class CandidateScorer(PolicyModule):
    """Bags of words compared, then a perceptron for each candidate; a perceptron for the value."""

    accepts_any_size = True

    def build(self) -> None:
        """Create the layers; ``hidden`` are the widths of both perceptrons (see value_hidden).

        Raises:
            InputError: an observation without candidates, or choices that are not the candidates.
        """
        words = self._words()
        kinds: Any = self.observation_spaces.get(KINDS)
        self.kinds = int(kinds.high.max()) + 1 if kinds else 0
        others: list[Any] = [
            self.observation_spaces[n] for n in (FIGURES, CONTEXT) if n in self.observation_spaces
        ]
        size = self.kinds + HEADS + 1
        size += sum(int(space.shape[-1]) for space in others)
        # Small enough (half a million numbers for 8,192 words) for a dense Adam to cost next to
        # nothing, and large numbers: Adam's steps, which know no size, then move a word slowly.
        self.word_embeddings = nn.Parameter(torch.empty(words, HEADS * SIZE).normal_())
        self.query_projection, self.key_projection = (
            nn.Linear(HEADS * SIZE, HEADS * SIZE, bias=False) for _ in range(2)
        )
        for layer in (self.query_projection, self.key_projection):
            # The identity: at first a likeness is the plain product of both texts'
            # sums.
            nn.init.eye_(layer.weight)
        config = self.model_config
        relu = partial(nn.ReLU, inplace=True)  # one large array less to write
        activation = nn.Tanh if config["activation"] == "tanh" else relu
        self.policy = _perceptron((size, *config["hidden"]), activation, 0.01)
        # Weight of the sum of likenesses: words that only the perceptron reads are learnt slower.
        self.direct = nn.Parameter(torch.tensor(0.1))
        critic = config["value_hidden"] or config["hidden"]
        self.critic = _perceptron((2 * size, *critic), activation, 1.0)

    def _words(self) -> int:
        """How many different words there are, in an observation that can be scored."""
        space, readable = (
            self.observation_spaces.get(CANDIDATES),
            {*TEXTS, KINDS, FIGURES, CONTEXT, MASK},
        )
        shape = space.shape if isinstance(space, spaces.Box) else ()
        if (
            len(shape) != 2
            or shape[0] != self.head.choices
            or INSTRUCTION not in self.observation_spaces
        ):
            raise InputError(
                "The scorer needs a Dict observation whose 'candidates' [K, L], numbers of words, "
                "are the choices of the action, and an 'instruction' [L], but the observation is "
                f"{self.observation_space} and the action {self.action_space}."
            )
        if unread := sorted(set(self.observation_spaces) - readable):
            raise InputError(
                f"The scorer reads {', '.join(sorted(readable))}; it would ignore {unread}."
            )
        text_spaces: list[Any] = [
            self.observation_spaces[name] for name in TEXTS if name in self.observation_spaces
        ]
        return max(int(space.high.max()) for space in text_spaces) + 1

    def compute_outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :class:`PolicyModule`. A row without any legal candidate gets zeros, not NaN."""
        N, K = batch[CANDIDATES].shape[:2]
        legal = batch[MASK] > 0 if MASK in batch else batch[CANDIDATES].new_ones(N, K) > 0
        places = _find(legal.flatten())  # of M legal candidates among all N K
        rows = places // K
        features = self._build_features(batch, rows, places)
        score = self.policy(features)[:, 0] + self.direct * features[:, HEADS]
        scores = features.new_zeros(N * K).index_copy(0, places, score).view(N, K)
        # The value sees the candidates averaged by the policy and averaged evenly; its gradient
        # reaches neither the words nor the policy.
        features, logits = features.detach(), scores.detach().masked_fill(~legal, ILLEGAL_LOGIT)
        likely = logits.softmax(-1).flatten().index_select(0, places)
        even = (1 / legal.sum(-1).clamp_min(1)).index_select(0, rows)
        means = [
            features.new_zeros(N, features.shape[1]).index_add(0, rows, features * share[:, None])
            for share in (likely, even)
        ]
        return scores, self.critic(torch.cat(means, -1))[:, 0]

    def _build_features(self, batch: Mapping[str, Tensor], rows: Tensor, places: Tensor) -> Tensor:
        """Return the features [M, size] of the candidates of rows [M] at places [M] of all N K."""

        def take(name: str) -> Tensor:
            return batch[name].flatten(0, 1).index_select(0, places)

        parts = [self._compute_likeness(batch, rows, take(CANDIDATES))]
        if self.kinds:
            parts.append(nn.functional.one_hot(take(KINDS).long(), self.kinds).float())
        if FIGURES in batch:
            parts.append(take(FIGURES).float())
        if CONTEXT in batch:
            parts.append(batch[CONTEXT].float().index_select(0, rows))
        return torch.cat(parts, -1)

    def _compute_likeness(
        self, batch: Mapping[str, Tensor], rows: Tensor, candidates: Tensor
    ) -> Tensor:
        """Return how well an instruction's unmet words match a candidate's new words.

        [M, HEADS + 1] for candidates [M, L] of rows [M]: all likenesses and their sum. Open are the
        words that neither the page nor the candidate has, new those that the instruction does not
        have.
        """
        asked, whose = _list_words(batch[INSTRUCTION])
        count = len(batch[INSTRUCTION])
        # A table of instructions by the words of any of them, one byte an entry: looking words up
        # in it replaces the comparison of every word with every other. Column 0 is that of all
        # other words.
        columns = self._number_words(asked)
        width = int(columns.max()) + 1
        said = asked.new_zeros(count * width, dtype=torch.uint8)
        entries = whose * width + columns.index_select(0, asked)
        said.index_fill_(0, entries, OPEN)
        if PAGE in batch:
            read, by = _list_words(batch[PAGE])
            # OPEN becomes MET where the page has the word; 0 (not in the instruction)
            # stays 0.
            of_page = by * width + columns.index_select(0, read)
            said.index_copy_(0, of_page, said.index_select(0, of_page).clamp_max(MET))
        is_open = _find(said.index_select(0, entries) == OPEN)
        wanted = asked.index_select(0, is_open), whose.index_select(0, is_open), count
        offered, whose = _list_words(candidates)
        entries = (rows * width).index_select(0, whose) + columns.index_select(0, offered)
        status = said.index_select(0, entries)
        # Only candidates with new words [S] are compared: the others are like nothing.
        is_new = _find(status == 0)
        owner = whose.index_select(0, is_new)
        compared, text = owner.unique_consecutive(return_inverse=True)
        new = offered.index_select(0, is_new), text, len(compared)
        number = whose.new_full((len(rows),), -1)
        number[compared] = torch.arange(len(compared), device=number.device)
        is_met = _find((status == OPEN) & (number.index_select(0, whose) >= 0))
        owner = number.index_select(0, whose.index_select(0, is_met))
        meeting, text = owner.unique_consecutive(return_inverse=True)
        met = offered.index_select(0, is_met), text, len(meeting)
        # Sums and projections are linear: those of an instruction are computed once, and what a
        # candidate meets is taken off.
        queries = self._sum_words(self.query_projection, wanted, met)
        queries, taken = queries.split([count, len(meeting)])
        query = queries.index_select(0, rows[compared]).index_add(0, meeting, taken, alpha=-1)
        key = self._sum_words(self.key_projection, new)
        like = (query * key).view(-1, HEADS, SIZE).sum(-1) / SIZE**0.5
        like = torch.cat([like, like.sum(-1, keepdim=True)], -1)
        return like.new_zeros(len(rows), HEADS + 1).index_copy(0, compared, like)

    def _number_words(self, words: Tensor) -> Tensor:
        """Return the numbers [vocabulary] of the words [S] that occur, from 1 on; 0 of others."""
        occurs = words.new_zeros(len(self.word_embeddings)).index_fill_(0, words, 1)
        return occurs.cumsum(0) * occurs

    def _sum_words(self, project: nn.Module, *texts: tuple[Tensor, Tensor, int]) -> Tensor:
        """Return sums [all counts, width] of projected words, of groups of texts one after another.

        Args:
            project: applied to the distinct words, which are fewer than the texts.
            texts: the words [S] of each group, the text [S] that each is in, which is sorted, and
                the number of texts.
        """
        words = torch.cat([words for words, _, _ in texts])
        numbers = self._number_words(words)
        distinct = _find(numbers)
        projected = SCALE * project(self.word_embeddings.index_select(0, distinct))
        places = numbers.index_select(0, words) - 1
        # Each bag is one run of words; a text without words has an empty one.
        sizes = torch.cat([torch.bincount(owner, minlength=count) for _, owner, count in texts])
        return _SumBags.apply(projected, places, sizes)  # type: ignore[return-value]


class _SumBags(torch.autograd.Function):
    """Sums [B, width] of runs of rows of a table [D, width], as ``embedding_bag`` computes them.

    Its gradient is a sum of bags again: of each row of the table those that it is in. torch's own
    takes five times as long, most of it to sort 64-bit numbers.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, places: Tensor, sizes: Tensor) -> Tensor:
        ctx.save_for_backward(places, sizes)
        ctx.rows = len(table)
        return _sum_runs(table, places, sizes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        places, sizes = ctx.saved_tensors
        bags = torch.repeat_interleave(sizes)
        by_row = bags.index_select(0, _argsort(places, ctx.rows))
        sizes = torch.bincount(places, minlength=ctx.rows)
        return _sum_runs(gradients[0], by_row, sizes), None, None


def _sum_runs(table: Tensor, places: Tensor, sizes: Tensor) -> Tensor:
    """Return the sums [B, width] of the rows [S] of a table, in runs of these sizes [B]."""
    starts = nn.functional.pad(sizes.cumsum(0), (1, 0))[:-1]
    return nn.functional.embedding_bag(places, table, starts, mode="sum")


def _argsort(numbers: Tensor, end: int) -> Tensor:
    """Return the order of whole numbers below ``end``."""
    if numbers.device.type != "cpu":
        return numbers.argsort(stable=True)
    # NumPy sorts numbers of 16 bits in a tenth of the time.
    small = numbers.numpy().astype(np.min_scalar_type(end))
    return torch.from_numpy(small.argsort(kind="stable"))


def _find(numbers: Tensor) -> Tensor:
    """Return the places of numbers [N] above 0, or of what is true."""
    if numbers.device.type != "cpu" or torch.compiler.is_compiling():
        return (numbers > 0).nonzero()[:, 0]
    # NumPy compares and lists them in a fifth of the time; a mask needs no comparison.
    array = numbers.numpy()
    return torch.from_numpy(np.flatnonzero(array if array.dtype == np.bool_ else array > 0))


def _list_words(texts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the words [S] of texts [M, L] one after another, and the text [S] of each."""
    words = texts.flatten()
    places = _find(words)
    return words.index_select(0, places).long(), places // texts.shape[1]


def _perceptron(
    widths: tuple[int, ...], activation: Callable[[], nn.Module], gain: float
) -> nn.Module:
    """Build layers of these widths and one output."""
    layers = [(nn.Linear(*sizes), activation()) for sizes in pairwise(widths)]
    return nn.Sequential(
        *chain.from_iterable(layers), initialise_linear(nn.Linear(widths[-1], 1), gain)
    )
