"""Optional abilities of a world: one Protocol each.

Code above this package asks ``isinstance(world, SupportsCurriculum)`` and never for a family by
name. What every world has is in :class:`envs.batched.World`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

from envs.episode_trace import EpisodeTrace
from envs.pytree import Array, Floats, Keys, Observation


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a curriculum."""

    name: str
    """Its content in a few words."""
    threshold: float
    """The mean score at which the next stage begins."""
    episodes: int = 50
    """The number of latest episodes that the mean is taken over."""


@runtime_checkable
class SupportsCurriculum(Protocol):
    """A world whose episodes become harder in stages; ``stage`` is one of its episode metrics."""

    stages: tuple[Stage, ...]
    """The stages in order; empty where the parameters ask for no curriculum."""

    def at_stage(self, stage: int) -> Self:
        """Return a copy of the world whose new episodes begin in this stage."""
        ...


@runtime_checkable
class SupportsResetOptions(Protocol):
    """A world whose ``reset`` takes Gymnasium's ``options``."""

    def reset_to(self, keys: Keys, options: Mapping[str, Any]) -> tuple[Any, Observation]:
        """Return the first state and observation [B] that ``options`` ask for.

        Raises:
            InputError: an option that the world does not have.
        """
        ...


@runtime_checkable
class SupportsPolicyWeights(Protocol):
    """A world that the policy is itself a part of."""

    def with_policy_weights(self, weights: Mapping[str, Any]) -> Self:
        """Return a copy of the world that uses a policy's weights, given by name.

        Raises:
            InputError: weights of a model that cannot take part in this world.
        """
        ...


@runtime_checkable
class SupportsTeacherWeights(Protocol):
    """A world with an agent that is a network of the same shape as a policy."""

    def get_network_weights(self, agent: str) -> Mapping[str, Array] | None:
        """Return the weights by name of the network of an agent, None for one without."""
        ...


@runtime_checkable
class SupportsRewardPrediction(Protocol):
    """A world with a student inside that predicts the reward of an action."""

    def predict_rewards(self, state: Any, action: Any) -> Array:
        """Return the predicted rewards [B] of actions [B] from states [B]."""
        ...


@runtime_checkable
class SupportsLookaheadCost(Protocol):
    """A world that charges for candidate actions that are tried and taken back."""

    def charge_lookahead(self, state: Any, trials: int) -> Any:
        """Return the states [B] after paying for ``trials`` such steps."""
        ...


@runtime_checkable
class SupportsNodeLosses(Protocol):
    """A world in which the nodes of a graph are learnt."""

    def node_losses(self, state: Any) -> Floats:
        """Return the loss [B, n] of each node."""
        ...


@runtime_checkable
class SupportsEvaluationMetrics(Protocol):
    """A world with metrics that are too slow for training."""

    def compute_evaluation_metrics(self, state: Any) -> dict[str, Floats]:
        """Return more metrics [B] of finished episodes, by name."""
        ...


@runtime_checkable
class SupportsRuleComparison(Protocol):
    """A world in which every agent is measured by one of the simple rules."""

    reference_rule: str
    """The name of that rule among the baselines."""

    def compare_with_rule(
        self, episodes: Mapping[str, Floats], rule: Mapping[str, Floats]
    ) -> dict[str, float]:
        """Return figures of episodes compared with the rule on the same seeds, from metrics [N]."""
        ...


@runtime_checkable
class SupportsCompetitors(Protocol):
    """A world in which policies compete with solvers that are no agents."""

    def evaluate_competitors(self, keys: Keys) -> dict[str, dict[str, Floats]]:
        """Return the episode metrics [N] of each competitor by name, on episodes [N]."""
        ...


@dataclasses.dataclass(frozen=True)
class ComparisonDetails:
    """What a world adds to the table in which a policy is compared with solvers."""

    answer: dict[str, Any]
    """Entries of the machine-readable answer."""
    lines: tuple[str, ...] = ()
    """Text printed below the table."""
    title: str = ""
    """Caption of a further table; empty for none."""
    columns: tuple[str, ...] = ()
    """Headings of that table."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Cells of that table."""


@runtime_checkable
class SupportsSolverComparison(Protocol):
    """A world in which policies and solvers can be compared on a matrix given by the user."""

    def make_comparison_kwargs(self, matrix: str) -> dict[str, Any]:
        """Return the environment arguments of a fair comparison, on a matrix file if given."""
        ...

    def measure_setup_seconds(self, keys: Keys, act: Callable[[Any], Array]) -> Floats:
        """Return the seconds [N] from a problem to a usable solver when ``act`` chooses."""
        ...

    def describe_comparison(
        self,
        keys: Keys,
        episodes: Mapping[str, Mapping[str, Floats]],
        solvers: Sequence[str],
        actions: Array,
        checkpoint: str,
    ) -> ComparisonDetails:
        """Return the details of a comparison on the episodes of keys [N].

        Args:
            keys: the episodes' keys [N].
            episodes: the metrics [N] of each player and solver, by name.
            solvers: the names of those that are no agents.
            actions: the first actions [N] of the player ``greedy``.
            checkpoint: the policy's path.
        """
        ...


@runtime_checkable
class SupportsEpisodeTrace(Protocol):
    """A world whose episodes can be shown step by step."""

    def trace_episode(self, states: Sequence[Any], actions: Sequence[Any]) -> EpisodeTrace:
        """Return one episode as frames, from its T + 1 states [1] and T actions [1]."""
        ...


@runtime_checkable
class SupportsExamples(Protocol):
    """A world whose finished episodes can be listed as rows of a table."""

    def list_examples(self, state: Any) -> list[dict[str, str]]:
        """Return one row for each finished episode [B], by heading."""
        ...
