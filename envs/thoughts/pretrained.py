"""A Hugging Face language model that thinks and reads, with the two marks of a thought.

Shapes: N sequences of L tokens, vocabulary V, width w. The tokens are those of ``corpus.Tokens``:
0 is nothing, 1 begins a thought, 2 ends it, and the model's own are counted from 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Self

import torch
from torch import Tensor, nn

from envs.language_models import (
    add_adapter,
    check_against_library,
    load_language_model,
    load_tokenizer,
    scale_logits,
)
from envs.thoughts.corpus import MARKS, NOTHING
from rungwise.validation import InputError

DASH = "---"
"""Text whose embedding the marks start from (the paper's): a pause that any text has seen."""
NEVER = -1e30
"""Logit of what is never written: nothing, and the beginning of a thought."""
CHECKED = 8
"""Tokens of the random text by which a model is compared with its library."""
ADAPTED = ".lora_A."
"""Part of the name of each matrix [rank, width] of an adapter."""


class PretrainedNetwork(nn.Module):
    """A causal language model with the interface of :class:`~envs.thoughts.gpt.GPT`.

    Args:
        folder: that of the model.
        vocabulary: number of tokens V of the corpus, marks included.
        lora_rank: rank of an adapter; the model's own weights then never change. 0: none.

    Raises:
        InputError: no model in the folder, one of another vocabulary than the tokenizer, or one
            whose numbers would not be those of its library.
    """

    def __init__(self, folder: str, vocabulary: int, lora_rank: int = 0) -> None:
        super().__init__()
        lm, dash = load_language_model(folder), load_tokenizer(folder)
        self.vocabulary, self.width = vocabulary, int(lm.config.hidden_size)
        if lm.config.vocab_size < vocabulary - MARKS:
            raise InputError(
                f"The model in {folder} knows {lm.config.vocab_size} tokens, but the text has "
                f"{vocabulary - MARKS}: set the environment's language_model to the same folder."
            )
        pause = dash(DASH, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            read, written = (
                part.weight[pause].mean(0)
                for part in (lm.get_input_embeddings(), lm.get_output_embeddings())
            )
        self.marks = nn.Parameter(read.repeat(2, 1))
        """Input embeddings [2, w] of the beginning and the end of a thought."""
        self.end = nn.Parameter(written.clone())
        """Output embedding [w] of its end."""
        self.lm = add_adapter(lm, lora_rank) if lora_rank else lm
        self.adapted = bool(lora_rank)
        self._compare_with_library(folder)

    def _compare_with_library(self, folder: str) -> None:
        """Compare a random text; attention needs no long one, as it is the library's."""
        words, model = self.vocabulary - MARKS, self._get_model()
        text = torch.randint(words, (1, CHECKED), generator=torch.Generator().manual_seed(0))
        check_against_library(
            folder,
            model,
            lambda: self.words(self.hidden(text + MARKS))[..., MARKS:].log_softmax(-1),
            lambda: model(text, use_cache=False).logits[..., :words].log_softmax(-1),
        )

    def hidden(self, tokens: Tensor) -> Tensor:
        """Compute the hidden states [N, L, w] of tokens [N, L]."""
        words = self._get_model().get_input_embeddings()((tokens - MARKS).clamp_min(0))
        marks = self.marks[(tokens - 1).clamp(0, 1)]
        embedded = torch.where((tokens >= MARKS)[..., None], words, marks)
        # Nothing stands to the right of what is there: causal attention never reads it.
        embedded = embedded * (tokens > NOTHING)[..., None]
        if not len(tokens):  # e.g. no thought of a minibatch ended; the library's models fail then
            return embedded
        return self._get_model().base_model(inputs_embeds=embedded, use_cache=False)[0]

    def words(self, hidden: Tensor) -> Tensor:
        """Compute the logits [..., V] of the token that follows hidden states [..., w]."""
        lm = self._get_model()
        logits = lm.get_output_embeddings()(hidden)[..., : self.vocabulary - MARKS]
        never = torch.full_like(logits[..., :2], NEVER)
        written = torch.cat([(hidden @ self.end)[..., None], logits], -1)
        return torch.cat([never, scale_logits(lm.config, written)], -1)

    def list_fixed_weights(self) -> frozenset[str]:
        """Return the names of the weights that an adapter leaves as they were loaded."""
        if not self.adapted:
            return frozenset()
        trained = {name for name, part in self.named_parameters() if part.requires_grad}
        return frozenset(self.state_dict()) - trained

    def with_weights(self, weights: Mapping[str, Tensor]) -> Self:
        """Return a network of the same model with these weights; fixed ones are shared.

        Raises:
            RuntimeError: the weights of another network.
        """
        ranks = [len(part) for name, part in weights.items() if ADAPTED in name]
        fixed = {id(part): part for part in self.lm.parameters()} if ranks else {}
        copied = deepcopy(self, fixed)
        if ranks:
            copied.lm, copied.adapted = add_adapter(copied.lm, ranks[0]), True
        missing, unknown = copied.load_state_dict(weights, strict=False)
        if unknown or set(missing) - copied.list_fixed_weights():
            raise RuntimeError(f"missing {missing[:3]}, unknown {unknown[:3]}")
        return copied

    def _get_model(self) -> Any:
        """Return the model without what LoRA wraps around it."""
        return self.lm.get_base_model() if self.adapted else self.lm
