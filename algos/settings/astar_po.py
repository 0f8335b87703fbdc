"""The settings of A*-PO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from algos.settings.training import EpisodeSettings
from rungwise.validation import (
    AtLeastOne,
    Fraction,
    InputError,
    Positive,
)


@dataclass(frozen=True)
class AStarPOSettings(EpisodeSettings):
    """Settings of A*-PO."""

    prepared_with: ClassVar[tuple[str, ...]] = (
        *("gamma", "starts", "v_star", "v_star_beta", "reference_samples"),
    )
    gamma: Annotated[float, Fraction] = 1.0
    """Discount of the next step's reward."""
    group_size: Annotated[int, AtLeastOne] = 1
    """Episodes from each start of an iteration; the paper needs one."""
    starts: Annotated[int, AtLeastOne] = 256
    """Number of starts in all; V* of each is estimated before training."""
    minibatch_size: Annotated[int, AtLeastOne] = 8
    """Episodes of one optimiser step."""
    loss: Literal["regression", "clipped_pg"] = "regression"
    """The paper's regression, or the post-mortem's policy gradient with clipped advantages."""
    beta: Annotated[float, Positive] = 0.01
    """Price of the KL to the reference (the paper's beta 2); a small one permits a large KL."""
    v_star: Literal["softmax", "max", "mean"] = "softmax"
    """How V* is estimated from the reference's returns."""
    v_star_beta: Annotated[float, Positive] = 0.5
    """Temperature of `softmax` (the paper's beta 1), in units of the return."""
    reference_samples: Annotated[int, AtLeastOne] = 8
    """Episodes of the reference from each start (k); `num_envs` must be a multiple."""
    v_star_cache: str = ""
    """Folder that stores V* after every batch of starts, so that an interrupted stage 1 continues
    and further trials with the same reference skip it; `""` stores V* in checkpoints only."""

    row_description: ClassVar[str] = "episodes (num_envs * runners)"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_envs % self.reference_samples:
            raise InputError(
                "settings.num_envs must be a multiple of reference_samples "
                f"({self.reference_samples}), but it is {self.num_envs}."
            )

    @property
    def rows_per_iteration(self) -> int:
        """Episodes of one iteration, the rows of this algorithm."""
        return self.num_envs * self.runners
