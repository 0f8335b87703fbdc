"""The reader: a small GPT that was taught to use thoughts ("baked"), and reads what follows them.

Without the baking there is nothing to learn: a reader that cannot use a thought rewards none. It is
taught on passages with thoughts of every length, a few of whose tokens are wrong, so that it
trusts thoughts but not blindly. It is made once and kept; all who use it read the same numbers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import sys
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from envs.contract import counter_rng
from envs.contract.pytree import Floats, Ints
from envs.thoughts.corpus import NOTHING, THINK, Corpus
from envs.thoughts.gpt import GPT, HEADS, Mixing
from envs.thoughts.pretrained import PretrainedNetwork
from rungwise.cache_folder import get_cache_folder
from rungwise.validation import AtLeastOne, Between, Fraction, InputError, NonNegative, validate


@dataclasses.dataclass(frozen=True)
class Baking:
    """Parameters of the reader's training."""

    width: Annotated[int, AtLeastOne] = 64
    """Width of its layers, a multiple of 4 (attention heads)."""
    layers: Annotated[int, AtLeastOne] = 2
    """Number of layers."""
    steps: Annotated[int, NonNegative] = 500
    """Number of updates."""
    passages: Annotated[int, AtLeastOne] = 128
    """Passages per update."""
    lr: Annotated[float, Between(0, 1)] = 2e-3
    """Adam's initial learning rate; it decays to 0."""
    corruption: Annotated[float, Fraction] = 0.02
    """Share of wrong tokens in the thoughts of the training: it limits the reader's trust in a
    thought, and so the certainty of an answer."""
    full: Annotated[float, Fraction] = 0.5
    """Share of complete thoughts in the training; the others end at a random token."""
    seed: Annotated[int, NonNegative] = 0
    """Seed of its weights and of its training passages."""

    def __post_init__(self) -> None:
        validate(self)
        if self.width % HEADS:
            raise InputError(f"width must be a multiple of {HEADS}, but it is {self.width}.")


class Reader:
    """A network that reads, in double precision if it is a small one.

    Rounded to single precision afterwards, its numbers do not depend on the number of threads or of
    passages read together. With a mixing head it can ignore a thought.
    """

    def __init__(
        self,
        corpus: Corpus,
        network: GPT | PretrainedNetwork,
        mixing: Mixing | None = None,
        device: str = "cpu",
    ) -> None:
        # A language model would need twice the memory and time for digits without use.
        kind = torch.double if isinstance(network, GPT) else torch.float
        self.corpus, self.device = corpus, device
        self.network = network.to(device, kind).requires_grad_(False).eval()
        self.mixing = mixing.to(device, kind).requires_grad_(False) if mixing else None

    def predict_answer(self, context: Ints, thought: Ints, answer: Ints) -> tuple[Floats, Ints]:
        """Return log p of answers [B] and guesses [B, n] after contexts [B, C], thoughts [B, T].

        A guess is the likeliest token where the true ones before it have been read.
        """
        hidden = self._hidden(*encode_text(self.corpus, context, thought, answer))
        if self.mixing is None:
            logits = self.network.words(hidden)
        else:
            # The same text without its thought; its answer positions move forward accordingly.
            plain = self._hidden(*encode_text(self.corpus, context, thought[:, :0], answer))
            logits = self.mixing(self.network.words, hidden, plain)
        logits = torch.log_softmax(logits, -1)
        logp = logits.gather(-1, self._move(answer)[..., None])[..., 0].sum(-1)
        return logp.cpu().double().numpy(), logits.argmax(-1).cpu().numpy()

    def write_continuation(self, context: Ints, count: int) -> Ints:
        """Write greedy continuations [B, count] of contexts [B, C], without a thought."""
        text, positions = encode_text(self.corpus, context, np.zeros((len(context), 0), np.int64))
        # The whole text is read again for every token: it is short, and a cache of keys would not
        # pay.
        for step in range(count):
            guess = self._logits(text, positions + step)[:, :1].argmax(-1).cpu().numpy()
            text = np.concatenate([text, guess], 1)
        return text[:, -count:]

    def coherence(self, context: Ints, thought: Ints) -> Floats:
        """Return the mean log p [B] of a token of thoughts [B, T] after contexts [B, C], or 0."""
        begun, C = _encode_prefix(context, thought), context.shape[1]
        places = np.tile(np.arange(C, begun.shape[1] - 1), (len(begun), 1))
        logits = self._logits(begun, places)
        each = logits.gather(-1, self._move(thought)[..., None])[..., 0].cpu().double().numpy()
        there = thought > NOTHING
        return (each * there).sum(1) / np.maximum(there.sum(1), 1)

    def next_thought(self, context: Ints, thought: Ints) -> Floats:
        """Return log-probabilities [B, A] of ending the thought and of each next token."""
        begun = _encode_prefix(context, thought)
        last = (begun > NOTHING).sum(1) - 1
        logits = self._logits(begun[:, : last.max() + 1], last[:, None])[:, 0]
        return torch.log_softmax(logits[:, self.corpus.end :], -1).cpu().double().numpy()

    def _logits(self, text: Ints, positions: Ints) -> Tensor:
        """Return log-probabilities [B, n, V] of what follows positions [B, n] of texts [B, L]."""
        return torch.log_softmax(self.network.words(self._hidden(text, positions)), -1)

    @torch.inference_mode()
    def _hidden(self, text: Ints, positions: Ints) -> Tensor:
        """Return the hidden states [B, n, w] at positions [B, n] of texts [B, L]."""
        hidden = self.network.hidden(self._move(text))
        return hidden[self._move(np.arange(len(text)))[:, None], self._move(positions)]

    def _move(self, tokens: Ints) -> Tensor:
        """Return an array as a tensor where the network is."""
        return torch.from_numpy(tokens).to(self.device)


def _encode_prefix(context: Ints, thought: Ints) -> Ints:
    """Encode ``context ( thought`` as tokens [B, C + 1 + T]."""
    return np.concatenate([context, np.full((len(context), 1), THINK), thought], 1)


def encode_text(
    corpus: Corpus, context: Ints, thought: Ints, answer: Ints | None = None
) -> tuple[Ints, Ints]:
    """Encode ``context ( thought ) answer``: tokens [B, L] and answer positions [B, n].

    Thoughts [B, T] have 0 after their end.
    """
    B, C = context.shape
    length = (thought > NOTHING).sum(1)
    ahead = 1 if answer is None else answer.shape[1]
    most = int(length.max(initial=0))
    # Cut to the longest thought of the batch: attention is quadratic in the length.
    text = np.zeros((B, C + 2 + most + ahead), np.int64)
    text[:, :C], text[:, C] = context, THINK
    text[:, C + 1 : C + 1 + most] = thought[:, :most]
    # Position of the end mark and of each answer token but the last: what they predict is the
    # answer.
    positions = C + 1 + length[:, None] + np.arange(ahead)
    rows = np.arange(B)[:, None]
    text[rows, positions[:, :1]] = corpus.end
    if answer is not None:
        text[rows, positions + 1] = answer
    return (text if answer is not None else text[:, :-1]), positions


def load_or_bake_reader(corpus: Corpus, baking: Baking) -> Reader:
    """Load the reader of a text from the cache folder, or bake it, which takes a while.

    Raises:
        InputError: it cannot be kept.
    """
    network = GPT(len(corpus.words), corpus.length, baking.width, baking.layers)
    path = get_cache_folder() / f"reader-{_digest(corpus, baking)}.safetensors"
    if path.is_file():
        network.load_state_dict(load_file(path))
        return Reader(corpus, network)
    try:  # before the baking, which takes a while
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=path.parent, prefix="baking-")
    except OSError as error:
        raise InputError(
            f"The reader of thoughts cannot be kept in {path.parent}: {error}. Set RUNGWISE_CACHE "
            "to a folder that can be written."
        ) from error
    with temporary as folder:
        network = bake(corpus, baking)
        unfinished = Path(folder) / "reader"
        save_file(network.state_dict(), unfinished)
        unfinished.replace(path)  # atomic: another process may read the path at the same time
    return Reader(corpus, network)


def load_pretrained_reader(corpus: Corpus, folder: str, device: str) -> Reader:
    """Load a Hugging Face model that reads, as it is.

    Raises:
        InputError: there is none in the folder, or no CUDA where it shall read.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("reader_device is cuda, but torch finds no GPU here: set it to cpu.")
    return Reader(corpus, PretrainedNetwork(folder, len(corpus.words)), device=device)


def make_shared_reader(baked: Reader, baking: Baking, weights: Mapping[str, Any]) -> Reader:
    """Make the reader from the weights of a thinking policy (``model='thinker'``).

    Raises:
        InputError: weights of a policy that does not read, or of another size.
    """
    corpus, network = baked.corpus, baked.network
    parts = {
        part: {
            name.removeprefix(part): torch.as_tensor(np.array(weight))
            for name, weight in weights.items()
            if name.startswith(part)
        }
        for part in ("gpt.", MIXING)
    }
    try:
        with _alone(baking.seed):
            if isinstance(network, PretrainedNetwork):
                reading = network.with_weights(parts["gpt."])
            else:
                reading = GPT(len(corpus.words), corpus.length, baking.width, baking.layers)
                reading.load_state_dict(parts["gpt."])
            mixing = Mixing(network.width)
            mixing.load_state_dict(parts[MIXING])
    except RuntimeError as error:
        size = f"hidden to {baking.layers} times {baking.width}, the reader's own"
        if isinstance(network, PretrainedNetwork):
            size = "language_model to that of the environment"
        raise InputError(
            f"shared has the policy read, but this one cannot: set model='thinker' and {size}."
        ) from error
    return Reader(corpus, reading, mixing, baked.device)


def bake(corpus: Corpus, baking: Baking) -> GPT:
    """Train a network to use thoughts; deterministic in its arguments."""
    with _alone(baking.seed):
        network = GPT(len(corpus.words), corpus.length, baking.width, baking.layers)
        optimiser = torch.optim.AdamW(network.parameters(), lr=baking.lr, weight_decay=0.01)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(baking.steps, 1))
        for step in range(baking.steps):
            tokens = torch.from_numpy(make_lesson(corpus, baking, step))
            # The thought, its end and the answer are learnt. The context is given.
            target = tokens[:, corpus.context + 1 :]
            logits = network(tokens[:, :-1])[:, corpus.context :]
            loss = nn.functional.cross_entropy(
                logits.flatten(0, 1), target.flatten(), ignore_index=NOTHING
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            falling.step()
            if step % 100 == 0 or step == baking.steps - 1:
                _tell(
                    f"baking the reader of thoughts (once): {step + 1}/{baking.steps}, {loss:.3f}"
                )
        return network


def make_lesson(corpus: Corpus, baking: Baking, number: int) -> Ints:
    """Draw the texts [passages, L] of an update."""
    keys = counter_rng.make_keys(
        _LESSONS + baking.seed * 2**24 + number * baking.passages, baking.passages
    )
    passages = corpus.draw(keys, "train")
    draw = counter_rng.uniform(counter_rng.fold(keys, _LENGTHS), (2,))
    # Incomplete thoughts are shown, too: the reader must make sense of one that ends at any token.
    length = np.where(draw[:, 0] < baking.full, corpus.longest, draw[:, 1] * (corpus.longest + 1))
    # Where thinking does not help, any thought is shown, so that none does harm.
    wrong = (
        counter_rng.uniform(counter_rng.fold(keys, _WRONG), (corpus.longest,)) < baking.corruption
    )
    wrong |= ~passages.problem[:, None]
    count = len(corpus.words) - corpus.first
    anything = corpus.first + counter_rng.integers(
        counter_rng.fold(keys, _TOKEN), count, (corpus.longest,)
    )
    kept = np.arange(corpus.longest) < length.astype(np.int64)[:, None]
    kept &= (passages.hints > NOTHING) | ~passages.problem[:, None]
    thought = np.where(kept, np.where(wrong, anything, passages.hints), NOTHING)
    return encode_text(corpus, passages.context, thought, passages.answer)[0]


@contextlib.contextmanager
def _alone(seed: int) -> Generator[None]:
    """Seed torch and use one thread within the context, for reproducible readers."""
    # Sums over several threads have another order, so the cached weights would depend on the
    # machine.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # The caller's random state must not depend on whether a reader was in the cache.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _digest(corpus: Corpus, baking: Baking) -> str:
    """Return a hash of everything that a reader is made from."""
    about = repr((_FORMAT, baking, corpus.about))
    return hashlib.sha256(about.encode()).hexdigest()[:24]


def _tell(what: str) -> None:
    sys.stderr.write(f"\r{what}{'' if sys.stderr.isatty() else chr(10)}")


MIXING = "mixing."
"""Prefix of the names of a mixing head's weights in a policy that reads."""
_FORMAT = "1"
"""Changes when readers are made differently."""
_LESSONS = 2**40
"""First seed of the reader's training passages, beyond those of policies."""
_LENGTHS, _WRONG, _TOKEN = 2**21, 2**21 + 1, 2**21 + 2
"""Random streams of a lesson, by purpose."""
