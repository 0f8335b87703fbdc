"""Worlds: pure functions that advance B copies at once, and what else a world may offer.

``step(state, action)`` changes nothing and draws its random numbers from the keys in the state.
Code above this package calls the hooks of :class:`World`, whose defaults offer nothing, and never
asks for a family by name.
"""

from __future__ import annotations

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeAlias, TypeVar

import gymnasium
import numpy as np

from envs.contract.episode_trace import EpisodeTrace
from envs.contract.pytree import Array, Bools, Floats, Ints, Keys, Observation
from rungwise.report_chart import ReportChart
from rungwise.validation import InputError

Action: TypeAlias = Any
"""A batched action: [B, ...], or one such array for each name of a Dict space."""


class HasKeys(Protocol):
    """The minimum of a state: a frozen dataclass of arrays [B, ...] with the copies' keys."""

    @property
    def keys(self) -> Keys:
        """Keys [B] of the current episodes; they do not change within an episode."""
        ...

    @property
    def step(self) -> Ints:
        """Steps done [B] in the current episodes."""
        ...


StateT = TypeVar("StateT", bound=HasKeys)

Agent: TypeAlias = Callable[[Any, Any, Keys], Action]
"""A policy without parameters: (world, state, keys [B]) -> batched action."""


@dataclasses.dataclass(frozen=True)
class Step(Generic[StateT]):
    """The result of one step of B copies."""

    state: StateT
    """The state after the step; of a finished copy, its final state."""
    observation: Observation
    """The observation after the step; of a finished copy, its final observation."""
    reward: Array
    """[B] float32."""
    terminated: Bools
    """[B]: the task ended; the value of what follows is 0."""
    truncated: Bools
    """[B]: a time limit cut the episode off; the value of what follows is bootstrapped."""
    info: dict[str, Array]
    """Figures [B, ...] by name."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a curriculum."""

    name: str
    """Its content in a few words."""
    threshold: float
    """The mean score at which the next stage begins."""
    episodes: int = 50
    """The number of latest episodes that the mean is taken over."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a world adds to the table in which a policy is compared with solvers."""

    answer: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Entries of the machine-readable answer."""
    lines: tuple[str, ...] = ()
    """Text printed below the table."""
    title: str = ""
    """Caption of a further table; empty for none."""
    columns: tuple[str, ...] = ()
    """Headings of that table."""
    rows: tuple[tuple[str, ...], ...] = ()
    """Cells of that table."""


class World(ABC, Generic[StateT]):
    """A world that advances B copies together."""

    params_type: ClassVar[type]
    """The frozen dataclass that configures the world."""
    episode_metrics: ClassVar[tuple[str, ...]]
    """Names in ``info`` whose final value describes an episode."""
    list_metrics: tuple[str, ...] = ()
    """Names in ``info`` with a value for each choice, whose final values describe an episode; their
    means are reported in training, as lists."""
    step_metrics: tuple[str, ...] = ()
    """Names in ``info`` whose mean over steps is reported in training, such as reward terms."""
    choice_names: tuple[str, ...]
    """Names of the discrete choices, for their shares in reports."""
    baselines: Mapping[str, Agent]
    """Simple agents to compare policies with, by name."""
    slow_baselines: ClassVar[frozenset[str]] = frozenset({"oracle"})
    """Baselines much slower than a policy, left out of a quick evaluation."""
    reference_rule: ClassVar[str] = ""
    """The baseline that every agent is compared with, seed by seed; empty for none."""
    stages: tuple[Stage, ...] = ()
    """A curriculum: episodes become harder stage by stage; ``stage`` is then an episode metric."""
    stage: int = 0
    """The stage in which new episodes begin."""
    charts: tuple[ReportChart, ...] = ()
    """What the report of a run draws of this world's metrics."""
    score_metric: ClassVar[str]
    """The episode metric by which policies are compared."""
    score_mode: ClassVar[Literal["min", "max"]]
    """Whether a low or a high score is good."""
    case_flag: ClassVar[str] = ""
    """The flag that chooses what a policy is compared on, such as ``matrix``; empty for none."""
    params: Any
    """The configuration, of ``params_type``."""
    observation_space: gymnasium.Space[Any]
    """The observation space of one copy."""
    action_space: gymnasium.Space[Any]
    """The action space of one copy."""

    def __init__(self, params: Any) -> None:
        """Prepare the world that a ``params_type`` describes."""
        self.params = params

    @property
    def episode_limit(self) -> int | None:
        """Largest number of steps of an episode; None if unknown."""
        return None

    @abstractmethod
    def reset(self, keys: Keys) -> tuple[StateT, Observation]:
        """Return the first state and observation of the episodes of keys [B]."""

    @abstractmethod
    def step(self, state: StateT, action: Action) -> Step[StateT]:
        """Advance all copies by one step, without changing ``state``."""

    @abstractmethod
    def summarise(self, episodes: Mapping[str, Floats]) -> dict[str, float]:
        """Summarise finished episodes, from their metrics [N] by name."""

    def at_stage(self, stage: int) -> Self:
        """Return a copy of the world whose new episodes begin in a stage of its curriculum."""
        if not self.stages:
            return self
        # Shallow: stages share everything else, and the original keeps its stage.
        world = copy.copy(self)
        world.stage = stage
        return world

    def at_last_stage(self) -> Self:
        """Return the world in the task that its curriculum leads to, itself without one."""
        return self.at_stage(len(self.stages) - 1) if self.stages else self

    def reset_to(self, keys: Keys, options: Mapping[str, Any]) -> tuple[StateT, Observation]:
        """Return the first state and observation [B] that Gymnasium's reset options ask for.

        Raises:
            InputError: an option that the world does not have.
        """
        raise InputError(
            f"{type(self).__name__} has no reset options, but it got {sorted(options)}: leave "
            "them out."
        )

    def with_policy_weights(self, weights: Mapping[str, Any]) -> Self:
        """Return the world that uses a policy's weights, by name, where the policy is a part of it.

        Raises:
            InputError: weights of a model that cannot take part in this world.
        """
        return self

    def get_network_weights(self, agent: str) -> Mapping[str, Array] | None:
        """Return the weights by name of a baseline that is a network, None for any other."""
        return None

    def predict_rewards(self, state: StateT, action: Action) -> Array | None:
        """Return the rewards [B] that a student inside expects of actions [B], None without one."""
        return None

    def charge_lookahead(self, state: StateT, trials: int) -> StateT:
        """Return the states [B] after paying for ``trials`` steps that were taken back."""
        return state

    def compute_choice_losses(self, state: StateT) -> Floats | None:
        """Return the loss [B, n] of each choice, where choices are nodes that are learnt."""
        return None

    def compute_evaluation_metrics(self, state: StateT) -> dict[str, Floats]:
        """Return more metrics [B] of finished episodes, by name, that are too slow for training."""
        return {}

    def compare_with_rule(
        self, episodes: Mapping[str, Floats], rule: Mapping[str, Floats]
    ) -> dict[str, float]:
        """Return figures of episodes [N] compared with ``reference_rule`` on the same seeds."""
        return {}

    def trace_episode(
        self, states: Sequence[StateT], actions: Sequence[Action]
    ) -> EpisodeTrace | None:
        """Return one episode as frames, from its T + 1 states [1] and T actions [1]."""
        return None

    def list_examples(self, state: StateT) -> list[dict[str, str]]:
        """Return a table row for each finished episode [B], by heading."""
        return []

    def evaluate_competitors(self, keys: Keys) -> dict[str, dict[str, Floats]]:
        """Return the episode metrics [N] of each solver that is no agent, by name, for keys [N]."""
        return {}

    @classmethod
    def make_case_kwargs(cls, case: str, trained_in: Mapping[str, Any]) -> dict[str, Any]:
        """Return the environment arguments of a fair comparison on a case.

        Args:
            case: the value of the flag ``case_flag``; empty for what the world draws by itself.
            trained_in: environment arguments of the policy's training.
        """
        return {}

    def measure_player(self, keys: Keys, act: Callable[[Any], Action]) -> dict[str, Floats]:
        """Return further metrics [N], by name, of a player ``act(observation)`` on keys [N]."""
        return {}

    def describe_comparison(
        self,
        keys: Keys,
        episodes: Mapping[str, Mapping[str, Floats]],
        solvers: Sequence[str],
        actions: Array,
        checkpoint: str,
    ) -> Comparison:
        """Return the details of a comparison with solvers on the episodes of keys [N].

        Args:
            keys: the episodes' keys [N].
            episodes: the metrics [N] of each player and solver, by name.
            solvers: the names of those that are no agents.
            actions: the first actions [N] of the player ``greedy``.
            checkpoint: the policy's path.
        """
        return Comparison()


def validate_choices(action: Array, copies: int, least: int, count: int, meaning: str) -> Ints:
    """Return the actions [B] of a Discrete space as integers.

    Args:
        action: the actions.
        copies: how many there must be, B.
        least: the smallest legal number.
        count: the numbers from 0 on that are legal.
        meaning: what they must be, for the message: "a slot from 0 to 24".

    Raises:
        InputError: another shape, no whole numbers, or a number out of range.
    """
    choice = np.asarray(action)
    if choice.shape != (copies,) or not np.issubdtype(choice.dtype, np.integer):
        raise InputError(
            f"An action needs {copies} whole numbers, one for each copy, but it has the shape "
            f"{choice.shape} and the type {choice.dtype}."
        )
    wrong = choice[(choice < least) | (choice >= count)]
    if wrong.size:
        raise InputError(f"The action must be {meaning}, but it is {wrong[0]}.")
    return choice.astype(np.int64)
