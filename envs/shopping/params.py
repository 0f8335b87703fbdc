"""Parameters of Shopping."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from envs.shopping.reward import Compat
from envs.shopping.store import Source
from envs.validation import Between, Fraction, NonNegative


@dataclasses.dataclass(frozen=True)
class Params(Source):
    """The shop and its task."""

    episode_limit: Annotated[int, Between(1, 100)] = 15
    """After how many steps an episode is cut off; that is no purchase."""
    compat: Compat = "webshop"
    """Whose reward: WebShop's with its quirks, or one without them."""
    shaping: Annotated[float, NonNegative] = 0.0
    """Weight of the shaping potential: what buying the item in hand would bring. Never in the
    score, and nothing is gained by it but time (Ng, Harada and Russell, ICML 1999)."""
    discount: Annotated[float, Fraction] = 1.0
    """The discount factor of the agent, for the potential."""
    text: Literal["tokens", "ids", "language"] = "tokens"
    """Whether observations hold texts as words, as rows of the world's ``tokens``, or as a prompt
    and candidates for a language model."""
    language_model: str = ""
    """Folder of the Hugging Face model whose tokens are meant (text: language); empty: the
    catalogue's own words."""
    prompt_tokens: Annotated[int, Between(16, 8192)] = 128
    """At most so many tokens of a prompt are observed (text: language)."""
    action_tokens: Annotated[int, Between(4, 512)] = 24
    """At most so many tokens of an action (text: language)."""

    @property
    def source(self) -> Source:
        """Where products and goals come from."""
        names = [field.name for field in dataclasses.fields(Source)]
        return Source(**{name: getattr(self, name) for name in names})
