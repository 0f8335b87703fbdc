"""A language model as a policy: it reads tokens and chooses the next one.

Reads a Dict observation with ``tokens [L]`` (whole numbers; 0 is nothing and stands to the right of
the text). The choices of the action are the last words of the vocabulary, so that its own logits
after the last token are the policy's; and it can take over the weights of a model of its make that
has been taught before (``behaviour_cloning.merge_teacher_weights``). The value is read by a
perceptron, whose error does not move the language model, from the same place and from how likely
each token was where it was written: the place alone says what comes next, not whether what was
written was a slip.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, pairwise

import torch
from gymnasium import spaces
from torch import Tensor, nn

from algos.models.base import PolicyModule, initialise_linear
from envs.thoughts.gpt import GPT, HEADS
from envs.validation import InputError

TOKENS = "obs.tokens"
MIN_TOKEN_LOGP = -10.0
"""Log-probability below which a token is a surprise like any other."""


class TokenPolicy(PolicyModule):
    """A small GPT, whose words are the choices, and a perceptron for the value."""

    head_weights = ("gpt.words.",)

    def build(self) -> None:
        """Create the layers; ``hidden`` are the widths of the blocks, all of them the same.

        Raises:
            InputError: an observation without tokens, or widths that no such model has.
        """
        space, config = self.observation_spaces.get(TOKENS), self.model_config
        if set(self.observation_spaces) != {TOKENS} or not isinstance(space, spaces.Box):
            raise InputError(
                "model='language' needs a Dict observation of 'tokens' [L] alone, but the "
                f"observation is {self.observation_space}. Use model='mlp'."
            )
        vocabulary = int(space.high.max()) + 1
        if not 0 < self.head.choices <= vocabulary:
            raise InputError(
                "model='language' chooses one of the last words of its vocabulary of "
                f"{vocabulary}, but the action is {self.action_space}."
            )
        widths = config["hidden"]
        if len(set(widths)) > 1 or widths[0] % HEADS:
            raise InputError(
                f"model='language' needs blocks of one width, a multiple of {HEADS} (attention "
                f"heads), such as hidden=(64, 64), but hidden is {widths}."
            )
        width = widths[0]
        self.gpt = GPT(vocabulary, space.shape[0], width, len(widths))
        critic = (width + space.shape[0], *(config["value_hidden"] or (width,)))
        layers = [(nn.Linear(*sizes), nn.GELU()) for sizes in pairwise(critic)]
        last = initialise_linear(nn.Linear(critic[-1], 1), 1.0)
        self.critic = nn.Sequential(*chain.from_iterable(layers), last)

    def compute_outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :class:`PolicyModule`."""
        tokens = batch[TOKENS]
        lengths = (tokens > 0).sum(-1).clamp_min(1)
        # Nothing stands to the right of the longest text: it need not be read.
        seen = self.gpt.hidden(tokens[:, : int(lengths.max())])
        last = seen[torch.arange(len(seen), device=seen.device), lengths - 1]
        known = torch.cat([last.detach(), self._compute_token_logps(seen, tokens)], -1)
        return self.gpt.words(last)[:, -self.head.size :], self.critic(known)[:, 0]

    @torch.no_grad()
    def _compute_token_logps(self, seen: Tensor, tokens: Tensor) -> Tensor:
        """Return the log-probability [N, L] of each token; 0 of the first and of padding."""
        # The state at position t predicts token t + 1: states up to the last but one,
        # tokens from 1.
        written = tokens[:, 1 : seen.shape[1], None]
        logp = torch.log_softmax(self.gpt.words(seen[:, :-1]), -1).gather(-1, written)[..., 0]
        found = torch.zeros(tokens.shape, device=tokens.device)
        found[:, 1 : seen.shape[1]] = logp.clamp_min(MIN_TOKEN_LOGP) * (written[..., 0] > 0)
        return found
