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
from envs.thoughts.pretrained import PretrainedNetwork
from rungwise.validation import InputError

TOKENS = "obs.tokens"
LOGITS_PER_CHUNK = 2**26
"""Logits that exist at the same time where the value reads how likely each token was."""
MIN_TOKEN_LOGP = -10.0
"""Log-probability below which a token is a surprise like any other."""


class TokenPolicy(PolicyModule):
    """A language model whose words are the choices, and a perceptron for the value.

    The model is a small GPT made here, or the one in ``language_model``, trained by LoRA or wholly.
    """

    head_weights = ("gpt.words.", "gpt.end")

    def build(self) -> None:
        """Create the layers, or load them from ``language_model``.

        Raises:
            InputError: an observation without tokens, widths that no such model has, or a folder
                without a model.
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
        if config["language_model"]:
            self.gpt: GPT | PretrainedNetwork = self._load_network(vocabulary)
        else:
            self.gpt = self._make_network(vocabulary, space.shape[0])
        width = self.gpt.width
        critic = (width + space.shape[0], *(config["value_hidden"] or (width,)))
        layers = [(nn.Linear(*sizes), nn.GELU()) for sizes in pairwise(critic)]
        last = initialise_linear(nn.Linear(critic[-1], 1), 1.0)
        self.critic = nn.Sequential(*chain.from_iterable(layers), last)

    def _make_network(self, vocabulary: int, length: int) -> GPT:
        """Create a small network for texts of this length; ``hidden`` are the blocks' widths."""
        widths = self.model_config["hidden"]
        if len(set(widths)) > 1 or widths[0] % HEADS:
            raise InputError(
                f"model='language' needs blocks of one width, a multiple of {HEADS} (attention "
                f"heads), such as hidden=(64, 64), but hidden is {widths}."
            )
        return GPT(vocabulary, length, widths[0], len(widths))

    def _load_network(self, vocabulary: int) -> PretrainedNetwork:
        """Load the model of the settings, the same numbers in every process."""
        config = self.model_config
        # An adapter begins with random numbers, by which learners and runners must not differ.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            loaded = PretrainedNetwork(config["language_model"], vocabulary, config["lora_rank"])
        self.fixed_weights = frozenset(f"gpt.{name}" for name in loaded.list_fixed_weights())
        return loaded

    def compute_outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :class:`PolicyModule`."""
        tokens = batch[TOKENS]
        lengths = (tokens > 0).sum(-1).clamp_min(1)
        # Nothing stands to the right of the longest text: it need not be read.
        hidden = self.gpt.hidden(tokens[:, : int(lengths.max())])
        last = hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
        features = torch.cat([last.detach(), self._compute_token_logps(hidden, tokens)], -1)
        return self.gpt.words(last)[:, -self.head.size :], self.critic(features)[:, 0]

    @torch.no_grad()
    def _compute_token_logps(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Return the log-probability [N, L] of each token; 0 of the first and of padding."""
        # The state at position t predicts token t + 1: states up to the last but one,
        # tokens from 1.
        written = tokens[:, 1 : hidden.shape[1], None]
        # Over the vocabulary of a language model the logits of all rows at once would not fit.
        rows = max(LOGITS_PER_CHUNK // (self.gpt.vocabulary * hidden.shape[1]), 1)
        logp = torch.cat(
            [
                torch.log_softmax(self.gpt.words(part), -1).gather(-1, token)[..., 0]
                for part, token in zip(hidden[:, :-1].split(rows), written.split(rows), strict=True)
            ]
        )
        logps = torch.zeros(tokens.shape, device=tokens.device)
        logps[:, 1 : hidden.shape[1]] = logp.clamp_min(MIN_TOKEN_LOGP) * (written[..., 0] > 0)
        return logps
