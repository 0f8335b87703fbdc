"""What the causal learning task is made of, and what its slow student is."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from envs.causal.learning.reward import RewardTerms
from envs.causal.models.families import FAMILIES, hidden_nodes
from envs.validation import (
    AtLeastOne,
    Between,
    Fraction,
    InputError,
    NonNegative,
    Positive,
    validate,
)


@dataclasses.dataclass(frozen=True)
class MlpParams:
    """How the networks are built and trained."""

    hidden: Annotated[int, AtLeastOne] = 64
    """Units of each of the two hidden layers (H)."""
    lr: Annotated[float, Positive] = 2e-3
    """Adam's learning rate."""
    fast_epochs: Annotated[int, AtLeastOne] = 20
    """Updates on the new rows alone."""
    epochs: Annotated[int, AtLeastOne] = 100
    """Updates on the whole buffer after that."""
    buffer: Annotated[int, AtLeastOne] = 50
    """How many batches of rows are remembered; the oldest goes first."""

    def __post_init__(self) -> None:
        validate(self)


@dataclasses.dataclass(frozen=True)
class Params:
    """The task. The student's fields define its difficulty: change them and figures differ."""

    scm: str = "ace5"
    """The model to be learnt, or a family (``random``, ...) of which each episode draws its own."""
    smallest: Annotated[int, AtLeastOne] = 4
    """How many nodes a drawn model has at least."""
    largest: Annotated[int, AtLeastOne] = 8
    """How many nodes a drawn model has at most."""
    interventions: Annotated[int, AtLeastOne] = 10
    """How many interventions an episode has."""
    interventions_per_node: Annotated[int, NonNegative] = 0
    """Unless 0, an episode has so many for each node of its model instead."""
    rows: Annotated[int, AtLeastOne] = 50
    """How many rows are drawn under each intervention."""
    student: Literal["bayes_linear", "mlp"] = "bayes_linear"
    """Who learns: an exact linear student, or the post-mortem's neural networks (slow)."""
    features: Annotated[int, Between(4, 512)] = 32
    """Random Fourier features of each mechanism (bayes_linear); in families without interactions
    of each parent."""
    interactions: bool = False
    """Whether the student reckons with parents that act together and not just in sum (families,
    like_family; that of one model always does). That takes more features, time and rows;
    mechanisms of the families here are sums."""
    length_scale: Annotated[float, Positive] = 1.8
    """Over which distance of the parents' values mechanisms are taken to change (bayes_linear)."""
    ridge: Annotated[float, Positive] = 1e-3
    """Noise variance over the prior variance of a weight (bayes_linear)."""
    mlp: MlpParams = dataclasses.field(default_factory=MlpParams)
    """How the neural networks are built and trained (mlp)."""
    observe_every: Annotated[int, NonNegative] = 0
    """Every so many steps rows without an intervention are added; 0 is never."""
    observation_rows: Annotated[int, AtLeastOne] = 200
    """How many rows without an intervention are added at a time."""
    cap: Annotated[float, Fraction] = 0.0
    """A node with more than this share of the recent choices may not be chosen, unless all have;
    0 allows every share. (The post-mortem: a breaker at 0.5 and a hard cap at 0.6.)"""
    like_family: bool = False
    """Whether one model is learnt and observed as a drawn one is, so that policies of families can
    act on it; with interactions the task stays what it is without."""
    stop_when_learnt: bool = False
    """Whether an episode ends early when the excess risk no longer falls."""
    patience: Annotated[int, AtLeastOne] = 6
    """For how many steps it must not have fallen (stop_when_learnt)."""
    tolerance: Annotated[float, NonNegative] = 1e-3
    """By how much it must fall to count as falling (stop_when_learnt)."""
    reward: RewardTerms = dataclasses.field(default_factory=RewardTerms)
    """What an intervention is worth."""

    def __post_init__(self) -> None:
        validate(self)
        if not self.many_graphs:
            return
        if self.student == "mlp":
            asked = f"scm is the family {self.scm!r}" if self.is_family else "like_family is set"
            raise InputError(
                f"Params.student 'mlp' learns one model only, but {asked}: "
                "use student 'bayes_linear', or a single model such as scm 'ace5' by itself."
            )
        if not self.is_family:
            return
        if hidden_nodes(self.scm, self.largest):
            raise InputError(
                f"Params.scm {self.scm!r} has hidden nodes, whose effects no student here can "
                "learn: choose a family without them, such as 'random'."
            )
        if self.smallest > self.largest:
            raise InputError(
                f"Params.smallest must be at most largest ({self.largest}), but it is "
                f"{self.smallest}."
            )

    @property
    def is_family(self) -> bool:
        """Whether each episode draws a model of its own."""
        return self.scm in FAMILIES

    @property
    def many_graphs(self) -> bool:
        """Whether student and observation are those for any graph, as families need them."""
        return self.is_family or self.like_family
