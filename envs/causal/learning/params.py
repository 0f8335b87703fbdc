"""Parameters of CausalLearning and of its neural student."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from envs.causal.learning.reward import RewardTerms
from envs.causal.models.families import FAMILIES, hidden_nodes
from rungwise.validation import (
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
    """Architecture and training of the networks."""

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
        validate(self, "mlp")


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of CausalLearning. The student's fields define the difficulty of the task."""

    scm: str = "ace5"
    """The model to learn, or a family (``random``, ...) from which each episode draws a model."""
    smallest: Annotated[int, AtLeastOne] = 4
    """Smallest number of nodes of a drawn model."""
    largest: Annotated[int, AtLeastOne] = 8
    """Largest number of nodes of a drawn model."""
    interventions: Annotated[int, AtLeastOne] = 10
    """Interventions in an episode."""
    interventions_per_node: Annotated[int, NonNegative] = 0
    """Interventions in an episode for each node of its model; 0 uses ``interventions``."""
    rows: Annotated[int, AtLeastOne] = 50
    """Rows drawn under each intervention."""
    student: Literal["bayes_linear", "mlp"] = "bayes_linear"
    """The learner: an exact linear student, or the post-mortem's neural networks (slow)."""
    features: Annotated[int, Between(4, 512)] = 32
    """Random Fourier features of each mechanism (bayes_linear), or of each parent in families
    without interactions."""
    interactions: bool = False
    """Whether the student models interactions of parents and not only their sum (families,
    like_family; the student of one model always does). That takes more features, time and rows;
    mechanisms of the families here are sums."""
    length_scale: Annotated[float, Positive] = 1.8
    """Length scale of the mechanisms in the parents' values (bayes_linear)."""
    ridge: Annotated[float, Positive] = 1e-3
    """Noise variance over the prior variance of a weight (bayes_linear)."""
    mlp: MlpParams = dataclasses.field(default_factory=MlpParams)
    """How the neural networks are built and trained (mlp)."""
    observe_every: Annotated[int, NonNegative] = 0
    """Steps between additions of rows without an intervention; 0 adds none."""
    observation_rows: Annotated[int, AtLeastOne] = 200
    """Rows without an intervention added each time."""
    cap: Annotated[float, Fraction] = 0.0
    """Cap on a node's share of the recent choices, beyond which it may not be chosen unless all
    nodes are; 0 sets no cap. (The post-mortem: a breaker at 0.5 and a hard cap at 0.6.)"""
    like_family: bool = False
    """Whether a single model has the student and the observation of a family, so that a policy
    trained on families can act on it."""
    stop_when_learnt: bool = False
    """Whether an episode ends early once the excess risk stops falling."""
    patience: Annotated[int, AtLeastOne] = 6
    """Steps without a fall after which the episode ends (stop_when_learnt)."""
    tolerance: Annotated[float, NonNegative] = 1e-3
    """Smallest decrease that counts as a fall (stop_when_learnt)."""
    reward: RewardTerms = dataclasses.field(default_factory=RewardTerms)
    """Weights of the reward's terms."""

    def __post_init__(self) -> None:
        validate(self)
        if not self.many_graphs:
            return
        if self.student == "mlp":
            asked = f"scm is the family {self.scm!r}" if self.is_family else "like_family is set"
            raise InputError(
                f"student 'mlp' learns one model only, but {asked}: "
                "use student 'bayes_linear', or a single model such as scm 'ace5' by itself."
            )
        if not self.is_family:
            return
        if hidden_nodes(self.scm, self.largest):
            raise InputError(
                f"scm {self.scm!r} has hidden nodes, whose effects no student here can "
                "learn: choose a family without them, such as 'random'."
            )
        if self.smallest > self.largest:
            raise InputError(
                f"smallest must be at most largest ({self.largest}), but it is {self.smallest}."
            )

    @property
    def is_family(self) -> bool:
        """Whether each episode draws a model of its own."""
        return self.scm in FAMILIES

    @property
    def many_graphs(self) -> bool:
        """Whether student and observation are those for any graph, as families need them."""
        return self.is_family or self.like_family
