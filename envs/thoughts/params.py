"""Parameters of QuietThoughts."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from envs.thoughts.corpus import Corpus, PlainText, Problems, Split, Tokens, cyclic, symmetric
from envs.thoughts.reader import Baking
from rungwise.validation import AtLeastOne, Between, Fraction, InputError, NonNegative, validate


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of QuietThoughts: the text, its reader and the cost of a thought."""

    task: Literal["sums", "permutations", "text"] = "sums"
    """Problems of sums modulo a number or of permutations one after the other, or a plain text."""
    modulus: Annotated[int, Between(2, 100)] = 5
    """Modulus of `sums`."""
    degree: Annotated[int, Between(3, 5)] = 3
    """Number of elements that the `permutations` permute."""
    terms: Annotated[int, Between(2, 12)] = 5
    """Terms of a problem."""
    filler: Annotated[float, Fraction] = 0.0
    """Share of positions in the text where the next letter is plain and a thought has no use."""
    text: str = ""
    """File of a plain text (`text`)."""
    language_model: str = ""
    """Folder of a Hugging Face model that reads a plain text; empty: a small one is made for it."""
    context: Annotated[int, AtLeastOne] = 16
    """Letters (`language_model`: tokens) of the text that are read before a thought."""
    ahead: Annotated[int, AtLeastOne] = 4
    """Letters (`language_model`: tokens) of the text that are predicted after a thought."""
    longest: Annotated[int, Between(1, 32)] = 4
    """Tokens of the longest thought."""
    price: Annotated[float, NonNegative] = 0.01
    """Cost of each token of a thought, in nats."""
    split: Split = "train"
    """The passages: those to learn from, or the tenth that is kept for evaluation."""
    shared: bool = False
    """Whether the policy that thinks also reads (`model='thinker'`); else a frozen reader does."""
    reader: Baking = dataclasses.field(default_factory=Baking)
    """Parameters of the reader's training."""
    reader_device: Literal["cpu", "cuda"] = "cpu"
    """Where a `language_model` reads; `cuda` is the GPU of the process that steps this world."""

    def __post_init__(self) -> None:
        validate(self)
        if (self.task == "text") != bool(self.text):
            raise InputError(
                f"text names the file of task='text', but the task is {self.task!r} and "
                f"text is {self.text!r}: give both or neither."
            )
        if self.language_model and self.task != "text":
            raise InputError(
                f"language_model reads a plain text, but the task is {self.task!r}: set "
                "task to text and text to a file."
            )

    @property
    def corpus(self) -> Corpus:
        """The texts to read."""
        if self.task == "text":
            lengths = self.context, self.ahead, self.longest
            if self.language_model:
                return Tokens.of(self.text, *lengths, self.language_model)
            return PlainText.of(self.text, *lengths)
        group = cyclic(self.modulus) if self.task == "sums" else symmetric(self.degree)
        return Problems(*group, self.terms, self.longest, self.filler)
