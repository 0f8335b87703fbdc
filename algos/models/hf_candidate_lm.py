"""A Hugging Face causal language model as a policy: it chooses among texts that others propose.

Reads a Dict observation with a ``prompt [P]``, ``candidates [K, A]`` (numbers of tokens from 1; 0
is none) and a ``mask [K]``; without one, candidates without tokens are illegal. A candidate's score
is the mean log-probability of its tokens after the prompt; the prompt's own tokens are observed,
not chosen, and count for nothing.

Candidates are scored rather than texts generated: no step of an episode is lost on a text that
means nothing, log-probabilities and entropies are exact for every algorithm here, and one pass over
all candidates of all copies takes the place of a pass for each token. The mean and not the sum,
because a model that knows nothing yet would otherwise only ever say what is short.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from algos.actions.choices import ILLEGAL_LOGIT
from algos.models.base import MASK, PolicyModule, initialise_linear
from envs.language_models import (
    add_adapter,
    check_against_library,
    load_language_model,
    scale_logits,
)
from rungwise.optional_imports import import_extra
from rungwise.validation import InputError

PROMPT, CANDIDATES = "obs.prompt", "obs.candidates"
HEAD = 16
"""Width of an attention head of a model that is made here."""
ROWS_PER_PASS = 32
"""Rows that are read at the same time."""
TOKENS_PER_CHUNK = 1024
"""Tokens whose logits exist at the same time: over a large vocabulary they are the most of all."""


class Packed(NamedTuple):
    """N prompts, each with all its candidates behind it, as rows of one length L.

    A candidate sees the prompt and itself, as if it were alone there.
    """

    tokens: Tensor
    """[N, L]: numbers from 0."""
    position_ids: Tensor
    """[N, L]: where each token stands in the text made of the prompt and its own candidate."""
    attention_mask: Tensor
    """[N, 1, L, L]: added to attention scores; 0 where a token reads another (last)."""
    row: Tensor
    """[M]: the row of each of the M candidate tokens."""
    candidate: Tensor
    """[M]: and its candidate."""
    before: Tensor
    """[M]: the column of the token before it, which says what is expected there."""
    targets: Tensor
    """[M]: the token itself."""


def pack_candidates(
    prompt: Tensor, candidates: Tensor, legal: Tensor, dtype: torch.dtype = torch.float32
) -> Packed:
    """prompt [N, P], candidates [N, K, A] from 1, legal [N, K] -> rows without gaps in them.

    The mask is of ``dtype``, that of the model.
    """
    N, device = len(prompt), prompt.device
    lengths = (prompt > 0).sum(1).clamp_min(1)
    P = int(lengths.max())
    row, candidate, inner = ((candidates > 0) & legal[..., None]).nonzero(as_tuple=True)
    wanted = candidates[row, candidate, inner].long() - 1
    count = torch.bincount(row, minlength=N)
    # Behind the longest prompt, by rank among the tokens of all candidates of the row.
    column = P + torch.arange(len(row), device=device) - (count.cumsum(0) - count)[row]
    L = P + int(count.max())
    tokens = torch.zeros(N, L, dtype=torch.long, device=device)
    tokens[:, :P] = (prompt[:, :P].long() - 1).clamp_min(0)
    tokens[row, column] = wanted
    places = torch.arange(L, device=device).repeat(N, 1)
    # Counted on from its own prompt's end, as if no other candidate stood between.
    places[row, column] = lengths[row] + inner
    # The candidate that each token belongs to: -1 the prompt, -2 padding.
    owner = torch.full((N, L), -2, device=device)
    owner[:, :P] = torch.where(places[:, :P] < lengths[:, None], -1, -2)
    owner[row, column] = candidate
    behind = torch.arange(L, device=device)
    # Padding reads padding: attention over nothing at all would be NaN.
    reads = (owner[:, None] == -1) | (owner[:, None] == owner[:, :, None])
    sees = (reads & (behind <= behind[:, None]))[:, None]
    # Numbers, as a model may add its mask to the scores: a boolean one would forbid nothing.
    mask = torch.zeros(sees.shape, dtype=dtype, device=device)
    mask.masked_fill_(~sees, torch.finfo(dtype).min)
    # A candidate's first token is predicted from the prompt's last one, wherever it was packed.
    before = torch.where(inner == 0, lengths[row] - 1, column - 1)
    return Packed(tokens, places, mask, row, candidate, before, wanted)


class CandidateLMPolicy(PolicyModule):
    """A causal language model, wholly trained or by LoRA, and a perceptron for the value."""

    head_weights = ()  # its output embedding may be the input's, or frozen

    def build(self) -> None:
        """Load the model in ``language_model``, or make one as ``hidden`` says (see the settings).

        Raises:
            InputError: an observation without prompt and candidates, or a model that does not fit.
        """
        config, prompt = self.model_config, self.observation_spaces.get(PROMPT)
        shape = (
            self.observation_spaces[CANDIDATES].shape
            if CANDIDATES in self.observation_spaces
            else None
        )
        if not isinstance(prompt, spaces.Box) or not shape or shape[0] != self.head.choices:
            raise InputError(
                "model='lm' needs a Dict observation of a 'prompt' [P] and 'candidates' [K, A], "
                "which are the choices of the action, in tokens, but the observation is "
                f"{self.observation_space}. For the shop, set env_kwargs.text to language."
            )
        if unread := sorted(set(self.observation_spaces) - {PROMPT, CANDIDATES, MASK}):
            raise InputError(f"model='lm' reads prompt, candidates and mask, not {unread}.")
        vocabulary = int(prompt.high.max())
        path, rank = config["language_model"], config["lora_rank"]
        lm = (
            load_language_model(path)
            if path
            else _make_language_model(config["hidden"], vocabulary)
        )
        if lm.config.vocab_size < vocabulary:
            raise InputError(
                f"The model in {path} knows {lm.config.vocab_size} tokens, but the observation has "
                f"{vocabulary}: set the environment's language_model to the same folder."
            )
        self.lm: Any = add_adapter(lm, rank) if rank else lm
        trained = {name for name, part in self.lm.named_parameters() if part.requires_grad}
        self.fixed_weights = frozenset(f"lm.{n}" for n in self.lm.state_dict() if n not in trained)
        width = int(lm.config.hidden_size)
        critic = (width, *(config["value_hidden"] or (64,)))
        layers = [(nn.Linear(*sizes), nn.GELU()) for sizes in pairwise(critic)]
        last = initialise_linear(nn.Linear(critic[-1], 1), 1.0)
        self.critic = nn.Sequential(*chain.from_iterable(layers), last)

    def compute_outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :class:`PolicyModule`. A row without any legal candidate gets zeros."""
        prompt, candidates = batch[PROMPT], batch[CANDIDATES]
        legal = batch[MASK] > 0 if MASK in batch else candidates[..., 0] > 0
        size = (prompt > 0).sum(1) + ((candidates > 0) & legal[..., None]).sum((1, 2))
        # Rows of like length together, so that few tokens are padding, and few of them at a time.
        order = size.argsort(stable=True)
        parts = [
            self._score_candidates(prompt[i], candidates[i], legal[i])
            for i in order.split(ROWS_PER_PASS)
        ]
        scores, value = (torch.cat(outputs) for outputs in zip(*parts, strict=True))
        back = order.argsort()
        scores = scores[back]
        if MASK not in batch:  # else the score of no tokens, 0, would be the best of all
            scores = scores.masked_fill(~legal, ILLEGAL_LOGIT)
        return scores, value[back]

    def _score_candidates(
        self, prompt: Tensor, candidates: Tensor, legal: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return scores [N, K], values [N] of prompt [N, P], candidates [N, K, A], legal [N, K]."""
        model = self._get_model()
        at = pack_candidates(prompt, candidates, legal, model.dtype)
        hidden: Tensor = model.base_model(
            input_ids=at.tokens,
            position_ids=at.position_ids,
            attention_mask=at.attention_mask,
            use_cache=False,
        ).last_hidden_state
        parts = zip(
            hidden[at.row, at.before].split(TOKENS_PER_CHUNK),
            at.targets.split(TOKENS_PER_CHUNK),
            strict=True,
        )
        # Made anew in the backward pass instead of being kept for it.
        logps = [
            checkpoint(_compute_token_logps, model, *part, use_reentrant=False) for part in parts
        ]
        cell = at.row * legal.shape[1] + at.candidate
        total = hidden.new_zeros(legal.numel()).index_add(0, cell, torch.cat(logps))
        lengths = (candidates > 0).sum(-1).clamp_min(1)
        rows = torch.arange(len(hidden), device=hidden.device)
        last = hidden[rows, (prompt > 0).sum(1).clamp_min(1) - 1]
        return total.view(legal.shape) / lengths, self.critic(last.detach())[:, 0]

    def check_loaded_model(self) -> None:
        """See :class:`PolicyModule`: a row of random tokens, as long as the environment's can be.

        Windows of attention and positions of a model's own show in long texts only.
        """
        if not (path := self.model_config["language_model"]):
            return
        generator, model = torch.Generator().manual_seed(0), self._get_model()
        columns: Any = self.observation_spaces
        high = int(columns[PROMPT].high.max()) + 1
        prompt, candidates = (
            torch.randint(1, high, (1, *columns[part].shape), generator=generator)
            for part in (PROMPT, CANDIDATES)
        )
        legal = torch.ones(candidates.shape[:2], dtype=torch.bool)
        ends = [0, -1]  # what stands furthest away from each other: each is a text of its own

        def compute_expected() -> Tensor:
            said = candidates[0, ends] - 1
            texts = torch.cat([(prompt - 1).expand(len(ends), -1), said], 1)
            kept = said.shape[1] + 1  # logits of whole texts would need much memory
            logits = model(input_ids=texts, use_cache=False, logits_to_keep=kept).logits
            logps = logits[:, -kept:-1].float().log_softmax(-1)
            return logps.gather(-1, said[..., None]).mean((1, 2))

        check_against_library(
            path,
            model,
            lambda: self._score_candidates(prompt, candidates, legal)[0][0, ends],
            compute_expected,
        )

    def _get_model(self) -> Any:
        """Return the model without what LoRA wraps around it."""
        return self.lm.get_base_model() if self.model_config["lora_rank"] else self.lm

    def save_pretrained(self, folder: Path) -> None:
        """Write the model (of LoRA: the adapter) and a loaded one's tokenizer for their library."""
        self.lm.save_pretrained(folder)
        if path := self.model_config["language_model"]:
            auto = import_extra("transformers", "lm").AutoTokenizer
            auto.from_pretrained(path, local_files_only=True).save_pretrained(folder)


def _compute_token_logps(lm: Any, hidden: Tensor, wanted: Tensor) -> Tensor:
    """Return the log-probabilities [M] of tokens [M] after hidden states [M, w]."""
    logits = scale_logits(lm.config, lm.get_output_embeddings()(hidden))
    return -nn.functional.cross_entropy(logits.float(), wanted, reduction="none")


def _make_language_model(widths: tuple[int, ...], vocabulary: int) -> Any:
    """Create a model of random weights, the same in every process."""
    if len(set(widths)) > 1 or widths[0] % HEAD:
        raise InputError(
            f"model='lm' without a language_model makes blocks of one width, a multiple of {HEAD}, "
            f"such as hidden=(64, 64), but hidden is {widths}."
        )
    transformers = import_extra("transformers", "lm")
    heads = widths[0] // HEAD
    config = transformers.Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=widths[0],
        num_hidden_layers=len(widths),
        num_attention_heads=heads,
        num_key_value_heads=heads,
        intermediate_size=2 * widths[0],
        tie_word_embeddings=True,
    )
    # Every process builds it for itself, and weights frozen under LoRA are never sent: they
    # must be the same everywhere. The fork leaves the caller's random stream alone.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.Qwen2ForCausalLM(config)
