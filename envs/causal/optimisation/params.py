"""Parameters of CausalOptimisation."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from envs.causal.models.families import FAMILIES
from rungwise.validation import AtLeastOne, Between, InputError, validate


@dataclasses.dataclass(frozen=True)
class Params:
    """The task."""

    scm: str = "hard"
    """A family of which each episode draws a model (``hard``, ``linear_random``, ...), or one model
    with a target, by name or file (``envs.causal.models.named``)."""
    target: str = ""
    """The node of one model that is driven down, where the model names none or another; and of the
    models of a pool that name none."""
    smallest: Annotated[int, AtLeastOne] = 4
    """The fewest nodes of a drawn model, the target among them and hidden ones aside."""
    largest: Annotated[int, AtLeastOne] = 8
    """The most."""
    curriculum: bool = False
    """Whether families and sizes come from a curriculum of three stages."""
    pool: str = ""
    """A file with a model, or a folder of them (``envs.causal.models.files``), drawn in addition to
    those of the family or the curriculum."""
    pool_fraction: Annotated[float, Between(0, 1, low_open=True)] = 0.5
    """Share of the episodes whose model is one of the pool, each equally likely."""
    observations: Annotated[int, Between(2)] = 20
    """Rows observed before the first intervention."""
    interventions: Annotated[int, AtLeastOne] = 20
    """Interventions in an episode."""
    rows: Annotated[int, AtLeastOne] = 1
    """Rows drawn under each intervention; their mean is observed."""
    at_once: Annotated[int, AtLeastOne] = 1
    """Number of nodes set at once: the latest choices of different nodes stay in force."""
    observation: Literal["statistics", "rows"] = "statistics"
    """Figures of each node, or in addition all rows seen so far, for models that read rows."""
    graph: bool = False
    """Whether the graph is observed, as the true ``parents``."""
    reward: Literal["expected", "observed"] = "expected"
    """Whether a step earns the target's true expectation, or the mean of the rows drawn. The first
    has no noise and teaches faster; the policy sees the rows alone in either case."""
    precision: Annotated[int, Between(8, 4096)] = 32
    """Noise rows over which expectations are averaged (even): 32 err by 0.015 of the scale."""

    def __post_init__(self) -> None:
        validate(self)
        if self.precision % 2:
            raise InputError(f"precision must be even, but it is {self.precision}.")
        drawn = self.curriculum or self.scm in FAMILIES
        if self.pool and not drawn:
            raise InputError(
                "pool adds models to those that are drawn, but scm is the single model "
                f"{self.scm!r}: choose a family, such as 'hard', or put that model into the pool."
            )
        if self.target and drawn and not self.pool:
            whose = "a curriculum" if self.curriculum else f"the family {self.scm!r}"
            raise InputError(
                f"target is {self.target!r}, but each model of {whose} draws its own: leave "
                "it out, or choose one model with scm."
            )
