"""Parameters of Shopping."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from envs.shopping.reward import Compat
from envs.shopping.store import Source
from rungwise.validation import Between, Fraction, NonNegative


@dataclasses.dataclass(frozen=True)
class Params(Source):
    """The shop and its task."""

    episode_limit: Annotated[int, Between(1, 100)] = 15
    """Number of steps after which an episode is truncated without a purchase."""
    compat: Compat = "webshop"
    """The reward: WebShop's with its quirks, or a strict one without them."""
    shaping: Annotated[float, NonNegative] = 0.0
    """Weight of the shaping potential, the reward of buying the open item. It is not part of the
    score and leaves the optimal policy unchanged (Ng, Harada and Russell, ICML 1999)."""
    discount: Annotated[float, Fraction] = 1.0
    """The agent's discount factor, for the potential."""
    text: Literal["tokens", "ids", "language"] = "tokens"
    """Whether observations hold texts as words, as rows of the world's ``tokens``, or as a prompt
    and candidates for a language model."""
    language_model: str = ""
    """Folder of the Hugging Face model whose tokens are used (text: language); empty for the
    catalogue's words."""
    prompt_tokens: Annotated[int, Between(16, 8192)] = 128
    """Largest number of tokens of a prompt that are observed (text: language)."""
    action_tokens: Annotated[int, Between(4, 512)] = 24
    """Largest number of tokens of an action (text: language)."""

    @property
    def source(self) -> Source:
        """The source of products and goals."""
        names = [field.name for field in dataclasses.fields(Source)]
        return Source(**{name: getattr(self, name) for name in names})
