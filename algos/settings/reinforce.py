"""The settings of REINFORCE."""

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
)


@dataclass(frozen=True)
class ReinforceSettings(EpisodeSettings):
    """Settings of REINFORCE. Groups of episodes are for the baselines made of them."""

    learns_sequences = True

    baseline: Literal["value", "moving_average", "group_mean", "leave_one_out"] = "value"
    """Baseline of a return: a learned value, the moving average of returns, or the mean of the
    episodes from the same start, with (`group_mean`) or without itself (`leave_one_out`)."""
    baseline_momentum: Annotated[float, Between(0, 1, high_open=True)] = 0.95
    """Weight of the past in each update of the `moving_average`."""
    lam: Annotated[float, Fraction] = 0.95
    """Lambda of GAE (`value`): 0 trusts the value function, 1 the discounted returns."""
    rollout_length: Annotated[int, AtLeastOne] = 128
    """Steps of each copy in one iteration; with a group baseline, the longest episode."""
    epochs: Annotated[int, AtLeastOne] = 1
    """Passes over each iteration's rows; the gradient is unbiased in the first only."""
    normalise_rewards: bool = False
    """Divide rewards by the root mean square of the episodes' returns so far."""
    normalise_advantages: bool = True
    """Scale each iteration's advantages to mean 0 and standard deviation 1."""
    normalise_values: bool = False
    """Fit the value to returns scaled by their running mean and deviation (baseline `value`)."""
    value_coef: Annotated[float, NonNegative] = 0.5
    """Weight of the value error."""
    reference_kl_coef: Annotated[float, NonNegative] = 0.0
    """Weight of the KL to the initial policy."""
    likelihood_coef: Annotated[float, NonNegative] = 0.0
    """Weight of the log-probability of the text after a thought, for model `thinker`."""

    @property
    def collects_groups(self) -> bool:
        """Only for baselines made of groups."""
        return self.baseline in ("group_mean", "leave_one_out")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.collects_groups and self.group_size < 2:
            raise InputError(
                f"settings.group_size must be at least 2 for baseline={self.baseline}."
            )
        if self.normalise_values and self.baseline != "value":
            raise InputError(
                "settings.normalise_values is true, but it would do nothing: "
                f"baseline={self.baseline} trains no value. Set it to false, or baseline=value."
            )
        if self.reference_kl_coef and self.memory != "none":
            # The states that are stored with the rows are the learning policy's.
            raise InputError(
                f"settings.reference_kl_coef is {self.reference_kl_coef}, but the policy has a "
                f"memory ({self.memory}), and what the initial policy would have remembered is not "
                "known. Set reference_kl_coef to 0, or memory='none' with a frame_stack."
            )
        if self.likelihood_coef and self.model != "thinker":
            raise InputError(
                f"settings.likelihood_coef is {self.likelihood_coef}, but it would do "
                f"nothing: model={self.model!r} does not read. Set model='thinker', or it to 0."
            )
