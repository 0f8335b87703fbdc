"""CausalLearning: choose interventions from which a student learns the mechanisms of a model.

Each step sets one node to one value, draws rows from the model and lets the student learn from
them. What counts in the end is the excess risk (:mod:`envs.causal.metric`); what is paid for is
rows, counted by what they were drawn for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from envs import random
from envs.arrays import Array, Bools, Floats, Ints, Keys, Observation, put, take
from envs.batched import Agent, Step, World
from envs.causal import baselines, reward
from envs.causal.metric import Metric, Risk, probe_points
from envs.causal.observation import FEATURES, ValueHistogram, observe
from envs.causal.reward import RewardTerms
from envs.causal.scm import MODELS, Scm
from envs.causal.student import BayesLinear, Student
from envs.validation import AtLeastOne, Between, InputError, NonNegative, Positive, validate


@dataclasses.dataclass(frozen=True)
class Params:
    """The task. The student's fields define its difficulty: change them and figures differ."""

    scm: Literal["ace5"] = "ace5"
    """The model to be learnt."""
    interventions: Annotated[int, AtLeastOne] = 10
    """How many interventions an episode has."""
    rows: Annotated[int, AtLeastOne] = 50
    """How many rows are drawn under each intervention."""
    student: Literal["bayes_linear", "mlp"] = "bayes_linear"
    """Who learns: an exact linear student, or the post-mortem's neural networks (slow)."""
    features: Annotated[int, Between(4, 512)] = 32
    """Random Fourier features of each mechanism (bayes_linear)."""
    length_scale: Annotated[float, Positive] = 1.8
    """Over which distance of the parents' values mechanisms are taken to change (bayes_linear)."""
    ridge: Annotated[float, Positive] = 1e-3
    """Noise variance over the prior variance of a weight (bayes_linear)."""
    observe_every: Annotated[int, NonNegative] = 0
    """Every so many steps rows without an intervention are added; 0 is never."""
    observation_rows: Annotated[int, AtLeastOne] = 200
    """How many rows without an intervention are added at a time."""
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


@dataclasses.dataclass(frozen=True)
class State:
    """B copies of the task."""

    keys: Keys
    """[B]: the keys of the episodes."""
    step: Ints
    """[B]: interventions done."""
    student: Any
    """The students' own states."""
    histogram: Floats
    """[B, n, bins]: how often each node was set to a value in each part of its domain."""
    recent: Ints
    """[B, window]: the latest choices, -1 where there is none yet."""
    risk: Risk
    """What is still to be learnt."""
    best: Floats
    """[B]: the lowest excess risk so far that counted as a fall."""
    stale: Ints
    """[B]: steps since then."""
    rows_executed: Ints
    """[B]: rows drawn under interventions."""
    rows_observational: Ints
    """[B]: rows drawn without."""


class CausalLearning(World[State]):
    """The world of one :class:`Params`."""

    params_type = Params
    episode_metrics: ClassVar = ("excess_risk", "postmortem_loss", "rows", "length")
    score: ClassVar = "excess_risk"
    score_mode: ClassVar = "min"

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        model = MODELS[params.scm]()
        self.scm: Scm = model.scm
        self.parents: Bools = self.scm.parents[0]
        self.student: Student[Any] = _student(params, self.parents)
        self.metric = Metric(self.scm, self.student)
        self.choice_names = model.names
        self.baselines: Mapping[str, Agent] = baselines.agents(params.student)
        n = self.scm.nodes
        self.observation_space = spaces.Dict(
            {
                "nodes": spaces.Box(-10.0, 10.0, (n, FEATURES), np.float32),
                "parents": spaces.Box(0.0, 1.0, (n, n), np.float32),
                "mask": spaces.Box(0.0, 1.0, (n,), np.float32),
                "context": spaces.Box(0.0, 1.0, (2,), np.float32),
            }
        )
        self.action_space: gymnasium.Space[Any] = spaces.Dict(
            {"choice": spaces.Discrete(n), "value": spaces.Box(-1.0, 1.0, (), np.float32)}
        )

    def reset(self, keys: Keys) -> tuple[State, Observation]:
        """Students that know nothing, for keys [B]."""
        B, n = len(keys), self.scm.nodes
        student = self.student.reset(random.fold(keys, _STUDENT))
        risk = self.metric.risk(student)
        window = min(self.params.reward.window, self.params.interventions)
        nothing = np.zeros(B, np.int64)
        state = State(
            keys=keys,
            step=nothing,
            student=student,
            histogram=ValueHistogram.empty(B, n),
            recent=np.full((B, window), -1),
            risk=risk,
            best=risk.excess,
            stale=nothing,
            rows_executed=nothing,
            rows_observational=nothing,
        )
        return state, observe(self, state)

    def step(self, state: State, action: Mapping[str, Array]) -> Step[State]:
        """Set each copy's chosen node to the chosen value and learn from the rows."""
        node, position = self._checked(action, len(state.keys))
        B = len(node)
        chosen = np.zeros((B, self.scm.nodes), np.bool_)
        chosen[np.arange(B), node] = True
        values = np.where(chosen, self.scm.domain_value(node, position)[:, None], 0.0)
        keys = random.fold(state.keys, state.step)
        student = self._learn(state.student, random.fold(keys, _ROWS), chosen, values)
        due = np.zeros(B, np.bool_)
        if self.params.observe_every:
            due = (state.step + 1) % self.params.observe_every == 0
            student = self._observe_rows(student, random.fold(keys, _OBSERVATION), due)
        after = self._advanced(state, student, node, position, due)
        return self._step(state, after, node)

    def _advanced(
        self, state: State, student: Any, node: Ints, position: Floats, due: Bools
    ) -> State:
        params, every = self.params, np.arange(len(node))
        risk = self.metric.risk(student)
        recent = state.recent.copy()
        recent[every, state.step % recent.shape[1]] = node
        fell = risk.excess < state.best - params.tolerance
        return State(
            keys=state.keys,
            step=state.step + 1,
            student=student,
            histogram=ValueHistogram.add(state.histogram, node, position),
            recent=recent,
            risk=risk,
            best=np.where(fell, risk.excess, state.best),
            stale=np.where(fell, 0, state.stale + 1),
            rows_executed=state.rows_executed + params.rows,
            rows_observational=state.rows_observational + due * params.observation_rows,
        )

    def _step(self, before: State, after: State, node: Ints) -> Step[State]:
        params = self.params
        counts = (after.recent[:, :, None] == np.arange(self.scm.nodes)).sum(axis=1)
        terms = reward.rewards(params.reward, before.risk, after.risk, counts, node)
        # The horizon is the task itself (a budget of rows, shown as t/T in the observation), and
        # nothing can be gained after it: reaching it terminates, and nothing is bootstrapped.
        terminated = after.step >= params.interventions
        if params.stop_when_learnt:
            terminated = terminated | (after.stale >= params.patience)
        return Step(
            state=after,
            observation=observe(self, after),
            reward=terms.sum(axis=1).astype(np.float32),
            terminated=terminated,
            truncated=np.zeros(len(node), np.bool_),
            info=_info(after, terms),
        )

    def node_losses(self, state: State) -> Floats:
        """Excess risk [B, n] of each node."""
        return state.risk.node_excess

    def summarise(self, episodes: Mapping[str, Floats]) -> dict[str, float]:
        """Median, mean and nine-tenths quantile of the excess risk at the end of episodes [N]."""
        excess = episodes["excess_risk"]
        return {
            "median": float(np.median(excess)),
            "mean": float(np.mean(excess)),
            "q90": float(np.quantile(excess, 0.9)),
        }

    def _learn(self, student: Any, keys: Keys, chosen: Bools, values: Floats) -> Any:
        noise = random.normal(keys, (self.params.rows, self.scm.nodes))
        return self.student.learn(student, self.scm.sample(noise, chosen, values), chosen)

    def _observe_rows(self, student: Any, keys: Keys, due: Bools) -> Any:
        """Students of the copies that are due learn from rows without an intervention."""
        if not due.any():
            return student
        noise = random.normal(keys[due], (self.params.observation_rows, self.scm.nodes))
        nothing = np.zeros((len(noise), self.scm.nodes), np.bool_)
        rows = self.scm.sample(noise, nothing, np.zeros(nothing.shape))
        return put(student, due, self.student.learn(take(student, due), rows, nothing))

    def _checked(self, action: Mapping[str, Array], copies: int) -> tuple[Ints, Floats]:
        """The chosen nodes [B] and positions [B] in [-1, 1] of an action."""
        node = np.asarray(action["choice"], np.int64)
        position = np.asarray(action["value"], np.float64)
        n = self.scm.nodes
        if node.shape != (copies,) or position.shape != (copies,):
            raise InputError(
                f"An action needs {copies} choices and {copies} values, one for each copy, but the "
                f"shapes are {node.shape} and {position.shape}."
            )
        if ((node < 0) | (node >= n)).any():
            wrong = node[(node < 0) | (node >= n)][0]
            raise InputError(f"The choice must be a node from 0 to {n - 1}, but it is {wrong}.")
        if not np.isfinite(position).all():
            raise InputError("The value must be a number in [-1, 1], but it is NaN or infinite.")
        return node, np.clip(position, -1.0, 1.0)


_STUDENT, _ROWS, _OBSERVATION = 1, 2, 3
"""What each of an episode's or a step's random streams is for."""


def _student(params: Params, parents: Bools) -> Student[Any]:
    if params.student == "mlp":
        # torch is needed by this student alone.
        from envs.causal.mlp_student import MlpStudent

        capacity = max(params.rows, params.observation_rows if params.observe_every else 0)
        return MlpStudent(parents, probe_points(len(parents)), capacity)
    return BayesLinear(
        parents, probe_points(len(parents)), params.features, params.length_scale, params.ridge
    )


def _info(state: State, terms: Floats) -> dict[str, Array]:
    figures: dict[str, Array] = {
        "excess_risk": state.risk.excess,
        "node_excess": state.risk.node_excess,
        "postmortem_loss": state.risk.postmortem,
        "rows": state.rows_executed + state.rows_observational,
        "rows_executed": state.rows_executed,
        "rows_observational": state.rows_observational,
        # No candidate is ever tried on the world; whoever adds that has to count its rows here.
        "rows_lookahead": np.zeros_like(state.rows_executed),
        "length": state.step,
        "reward_before_bonus": terms[:, :2].sum(axis=1),
    }
    return figures | {f"reward_{name}": terms[:, i] for i, name in enumerate(reward.NAMES)}
