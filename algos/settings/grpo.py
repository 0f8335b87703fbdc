"""The settings of GRPO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from algos.settings.training import EpisodeSettings
from rungwise.validation import (
    Fraction,
    InputError,
    NonNegative,
    Positive,
)


@dataclass(frozen=True)
class GRPOSettings(EpisodeSettings):
    """Settings of GRPO. Rewards are not discounted unless `gamma` says so."""

    gamma: Annotated[float, Fraction] = 1.0
    """Discount of the next step's reward."""
    clip: Annotated[float, Positive] = 0.2
    """Largest change of the probability ratio that still raises the objective."""
    supervision: Literal["outcome", "process"] = "outcome"
    """`outcome`: all steps of an episode share the advantage of its return; `process`: the return
    to go of a step is compared with that of the same step of the others, for dense rewards."""
    reference_kl_coef: Annotated[float, NonNegative] = 0.0
    """Weight of the KL to the frozen reference policy."""
    reference_interval: Annotated[int, NonNegative] = 0
    """Updates between copies of the reference policy; 0 keeps the initial policy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group_size < 2:
            raise InputError(
                "settings.group_size must be at least 2: an episode is compared with the "
                "others of its group."
            )
