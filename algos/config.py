"""The settings that all algorithms share.

Each algorithm's settings are a frozen dataclass derived from :class:`TrainingSettings`; it is the
only source of command-line flags, YAML keys, help texts and search spaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from algos.schedules import Kind
from envs.validation import (
    AtLeastOne,
    Between,
    Fraction,
    InputError,
    NonNegative,
    Positive,
    validate,
)


@dataclass(frozen=True)
class TrainingSettings:
    """What every algorithm needs: how to collect, how to step the optimiser, which network."""

    gamma: Annotated[float, Fraction] = 0.99
    """Discount of the next step's reward."""
    num_envs: Annotated[int, AtLeastOne] = 8
    """Copies of the environment that a runner advances together (B)."""
    rollout_length: Annotated[int, AtLeastOne] = 128
    """Steps of each copy in one iteration (T); an iteration has T * B steps a runner."""
    num_env_runners: Annotated[int, NonNegative] = 0
    """Remote rollout workers; 0 collects in the trial's own process, for cheap steps."""
    num_learners: Annotated[int, NonNegative] = 0
    """Remote learners; 0 learns inside the trial's process."""
    lr: Annotated[float, Between(0, 1)] = 3e-4
    """Adam's learning rate (after the warm-up, before the schedule)."""
    lr_schedule: Kind = "constant"
    """How the learning rate changes over the training budget."""
    lr_end: Annotated[float, Between(0, 1)] = 0.0
    """Learning rate at the end of a schedule (above 0 for an exponential one)."""
    warmup: Annotated[float, Between(0, 1, high_open=True)] = 0.0
    """Share of training in which the learning rate rises from 0."""
    epochs: Annotated[int, AtLeastOne] = 4
    """Passes over each iteration's rows."""
    minibatch_size: Annotated[int, AtLeastOne] = 256
    """Rows of one optimiser step."""
    hang_s: Annotated[float, Positive] = 30.0
    """Seconds that collecting may always take; beyond them and 3 times its usual time it hangs."""
    grad_clip: Annotated[float, NonNegative] = 0.5
    """Largest gradient norm of an optimiser step; 0 does not clip."""
    adam_eps: Annotated[float, Positive] = 1e-5
    """Adam's epsilon."""
    model: Literal["mlp", "set"] = "mlp"
    """Policy network: `mlp`, or `set` for observations made of nodes."""
    hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer (of each attention block, for `set`)."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Activation of the `mlp` layers."""
    value_distribution: Literal["bins", "beta"] = "bins"
    """How the value of a choice is drawn: on a grid, or from a Beta density."""
    bins: Annotated[int, Between(2)] = 21
    """Grid points of `bins`."""

    def __post_init__(self) -> None:
        validate(self)
        name = type(self).__name__
        if not self.hidden or min(self.hidden) < 1:
            raise InputError(
                f"{name}.hidden must hold widths of at least 1, but it is {self.hidden}."
            )
        if self.model == "set" and self.hidden[0] % 4:
            raise InputError(
                f"{name}.hidden must start with a multiple of 4 (attention heads) for model='set', "
                f"but it is {self.hidden}."
            )
        if self.lr_schedule == "exponential" and self.lr_end <= 0:
            raise InputError(f"{name}.lr_end must be greater than 0 for an exponential schedule.")
        if self.minibatch_size > self.rows:
            raise InputError(
                f"{name}.minibatch_size must be at most the {self.rows} rows of an iteration "
                f"(rollout_length * num_envs * runners), but it is {self.minibatch_size}."
            )

    @property
    def rows(self) -> int:
        """Rows of one iteration, over all runners."""
        return self.rollout_length * self.num_envs * max(self.num_env_runners, 1)

    @property
    def model_config(self) -> dict[str, Any]:
        """What the policy network is built from."""
        names = ("hidden", "activation", "value_distribution", "bins")
        return {name: getattr(self, name) for name in names}
