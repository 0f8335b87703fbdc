"""A language model that thinks and reads with the same weights (Quiet-STaR, arXiv 2403.09629).

It writes thoughts as the policy of ``token_policy.py`` does, and reads what follows them through a
mixing head; the world takes its weights (``with_policy_weights``) and rewards a thought by what it
reads. The likelihood of what really followed is a loss term of its own (``likelihood_coef``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from algos.models.token_policy import TOKENS, TokenPolicy
from envs.thoughts.corpus import NOTHING, THINK
from envs.thoughts.gpt import Mixing

ANSWER = "answer"
"""Column of what follows a thought that the step has ended [N, n]; 0 where it has not ended."""
NO_THOUGHT_WEIGHT = 0.5
"""Weight of what is expected without a thought (the paper's code). Unless it is learnt, too, it was
seen to get worse than chance, by which every thought gains without being any better."""


class QuietStarPolicy(TokenPolicy):
    """The language policy with a mixing head."""

    hindsight_columns: ClassVar = (ANSWER,)

    def build(self) -> None:
        """See :class:`TokenPolicy`."""
        super().build()
        self.mixing = Mixing(self.gpt.width)

    def _forward(self, batch: Mapping[str, Tensor], **kwargs: object) -> dict[str, Any]:
        forward = super()._forward(batch, **kwargs)
        # The text that follows is not known while acting.
        return (
            forward | {"likelihood": self._compute_likelihood(batch)}
            if ANSWER in batch
            else forward
        )

    def _compute_likelihood(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the log-probability [N] of what followed a thought that ended; elsewhere 0.

        With the thought, and by a share without it.
        """
        ended = batch[ANSWER][:, 0] > NOTHING
        tokens, choice, answer = (batch[n][ended] for n in (TOKENS, "choice", ANSWER))
        # The choices are the last words of the vocabulary, and the first of these ends a
        # thought.
        end = self.gpt.vocabulary - self.head.choices
        length = (tokens > NOTHING).sum(-1)
        rows = torch.arange(len(tokens), device=tokens.device)
        text = tokens.clone()
        text[rows, length] = end + choice
        length = length + (choice > 0)  # the longest thought ends by itself
        text[rows, length] = end
        # The same text without a thought: it ends right after THINK, and the answer
        # follows.
        plain, begun = tokens.clone(), (tokens == THINK).long().argmax(-1) + 1
        plain[rows, begun] = end
        after, without = (
            self._read_before_answer(text, length, answer),
            self._read_before_answer(plain, begun, answer),
        )
        mixed, bare = self.mixing(self.gpt.words, after, without), self.gpt.words(without)
        logp = _compute_answer_logp(mixed, answer) + NO_THOUGHT_WEIGHT * _compute_answer_logp(
            bare, answer
        )
        return logp.new_zeros(len(ended)).masked_scatter(ended, logp)

    def _read_before_answer(self, text: Tensor, end: Tensor, answer: Tensor) -> Tensor:
        """Return the states [M, n, w] before each token of answers [M, n], at the ends [M].

        What stands to the right of them in the text does not matter.
        """
        rows = torch.arange(len(text), device=text.device)[:, None]
        positions = end[:, None] + torch.arange(answer.shape[1], device=text.device)
        text[rows, positions + 1] = answer
        return self.gpt.hidden(text)[rows, positions]


def _compute_answer_logp(logits: Tensor, answer: Tensor) -> Tensor:
    """Return the log-probability [M] of answers [M, n] under logits [M, n, V]."""
    return torch.log_softmax(logits, -1).gather(-1, answer[..., None])[..., 0].sum(-1)
