"""The settings of DPO, and where its pairs may come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from algos.settings.training import EpisodeSettings
from rungwise.validation import (
    AtLeastOne,
    Between,
    Fraction,
    InputError,
    NonNegative,
    Positive,
)

IMAGINED = "imagined"
"""Source of pairs: candidates judged by a world's own student."""
CANDIDATE_SOURCES = ("candidates", IMAGINED)
COLLECTED_SOURCES = ("groups", *CANDIDATE_SOURCES)


@dataclass(frozen=True)
class DPOSettings(EpisodeSettings):
    """Settings of DPO."""

    gamma: Annotated[float, Fraction] = 1.0
    """Discount of the next step's reward, where episodes are compared."""
    entropy_coef: Annotated[float, NonNegative] = 0.0
    """Weight of the entropy bonus at the start of training."""
    minibatch_size: Annotated[int, AtLeastOne] = 64
    """Pairs of one optimiser step."""
    pairs: str = "groups"
    """Source of the pairs: episodes from the same start (`groups`); actions tried from the same
    state in the environment (`candidates`, counted as lookahead) or judged by the world's own
    student (`imagined`, at no cost); or a folder of recorded rollouts."""
    candidates: Annotated[int, Between(2)] = 4
    """Actions tried from each state (K)."""
    beta: Annotated[float, Positive] = 0.1
    """Strength of the pull to the reference: a small beta lets preferences move the policy far."""
    weights: Literal["equal", "gap"] = "equal"
    """Whether pairs count equally, or by the difference of their returns (`gap`)."""
    reference_interval: Annotated[int, NonNegative] = 25
    """Updates between copies of the reference policy; 0 keeps the initial policy."""

    @property
    def collects_groups(self) -> bool:
        """Only where episodes are compared."""
        return self.pairs == "groups"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.collects_groups and self.group_size < 2:
            raise InputError("settings.group_size must be at least 2 to compare episodes.")
        if self.kl_limit and self.pairs not in COLLECTED_SOURCES:
            raise InputError(
                f"settings.kl_limit is {self.kl_limit}, but it would do nothing: recorded pairs "
                "were not drawn by the policy, so its KL is not known. Set it to 0."
            )
