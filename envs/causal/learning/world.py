"""CausalLearning: choose interventions from which a student learns the mechanisms of a model.

Each step sets one node to one value, draws rows from the model and trains the student on them. The
score is the excess risk at the end (:mod:`envs.causal.learning.metric`); the cost is rows, counted
by their purpose.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.causal.action import validate_action
from envs.causal.learning import baselines, belief, record, reward
from envs.causal.learning import problem as learning_problem
from envs.causal.learning.family_student import FamilyStudent
from envs.causal.learning.linear import Units, additive_features, joint_features
from envs.causal.learning.metric import compute_risk, probe_points
from envs.causal.learning.observation import FAMILY_FEATURES, FEATURES, ValueHistogram, observe
from envs.causal.learning.params import Params
from envs.causal.learning.problem import Problem
from envs.causal.learning.state import State
from envs.causal.learning.student import BayesLinear, Student
from envs.causal.models.families import FAMILIES
from envs.causal.models.scm import Scm
from envs.contract import counter_rng
from envs.contract.episode_trace import EpisodeTrace
from envs.contract.pytree import Array, Bools, Floats, Ints, Keys, Observation, put, take
from envs.contract.world import Agent, Step, World
from rungwise.report_chart import ReportChart


class CausalLearning(World[State]):
    """The world of one :class:`Params`."""

    params_type = Params
    episode_metrics: ClassVar = (
        "excess_risk",
        "postmortem_loss",
        "rows",
        "rows_lookahead",
        "length",
    )
    score_metric: ClassVar = "excess_risk"
    score_mode: ClassVar = "min"
    slow_baselines: ClassVar = frozenset({"posterior_variance_design"})
    reference_rule: ClassVar = "round_robin"
    case_flag: ClassVar = "scm"

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self._common: Problem | None = None
        if params.is_family:
            # Any one model shows the shapes: all models of a family are padded to the same size.
            example = learning_problem.draw_models(params, counter_rng.make_keys(0, 1))
            most = int(example.inputs.shape[2])
            self.student: Student[Any] = _family_student(params, example.nodes, most)
            names = tuple(f"node {number}" for number in range(1, example.nodes + 1))
        else:
            model = learning_problem.load_named_model(params)
            self.student = _student(params, model.scm)
            self._common = learning_problem.make_common_problem(params, model, self.student)
            names = model.names
            # In a family every episode has other nodes: their mean would say nothing.
            self.list_metrics = ("node_excess",)
            self.charts = (_NODE_LOSSES,)
        self.choice_names = names
        weighted = [name for name in reward.NAMES if getattr(params.reward, name)]
        # A single term is the reward itself.
        if len(weighted) > 1:
            terms = {f"reward_{name}": name.replace("_", " ") for name in weighted}
            self.step_metrics = tuple(terms)
            self.charts += (ReportChart(*_REWARD_TERMS, curves=terms, layout="own scales"),)
        self.baselines: Mapping[str, Agent] = baselines.make_agents(params)
        n, features = len(names), FAMILY_FEATURES if params.many_graphs else FEATURES
        self.observation_space = spaces.Dict(
            {
                "nodes": spaces.Box(-10.0, 10.0, (n, features), np.float32),
                "parents": spaces.Box(0.0, 1.0, (n, n), np.float32),
                "mask": spaces.Box(0.0, 1.0, (n,), np.float32),
                "context": spaces.Box(0.0, 1.0, (2,), np.float32),
            }
        )
        self.action_space: gymnasium.Space[Any] = spaces.Dict(
            {"choice": spaces.Discrete(n), "value": spaces.Box(-1.0, 1.0, (), np.float32)}
        )

    @property
    def episode_limit(self) -> int:
        """See :class:`World`."""
        n = len(self.choice_names)
        return self.params.interventions_per_node * n or self.params.interventions

    def reset(self, keys: Keys) -> tuple[State, Observation]:
        """Begin episodes for keys [B] with students that know nothing."""
        B, n = len(keys), len(self.choice_names)
        if self._common:
            drawn, problem = (), self._common
        else:
            drawn = problem = learning_problem.draw_problems(self.params, keys, self.student)
        student = self.student.reset(counter_rng.fold(keys, _STUDENT), problem.scm)
        at_first = compute_risk(self.student, student, problem.truth)
        # An episode never remembers more choices than it has.
        window = min(self.params.reward.window, self.episode_limit)
        nothing = np.zeros(B, np.int64)
        state = State(
            keys=keys,
            step=nothing,
            drawn=drawn,
            student=student,
            histogram=ValueHistogram.empty(B, n),
            recent=np.full((B, window), -1),
            risk=at_first,
            at_start=at_first.excess,
            best=at_first.excess,
            steps_since_fall=nothing,
            rows_executed=nothing,
            rows_observational=nothing,
            rows_lookahead=nothing,
        )
        return state, observe(self, state)

    def get_problem(self, state: State) -> Problem:
        """Return what the copies are to learn: one model (C = 1), or one each (C = B)."""
        return self._common or cast("Problem", state.drawn)

    def compute_mask(self, state: State) -> Bools:
        """Return which nodes may be set now: [C, n], or with a cap on choices [B, n]."""
        settable = self.get_problem(state).settable
        if not self.params.cap:
            return settable
        counts = reward.count_choices(state.recent, len(self.choice_names))
        share = reward.compute_shares(counts, self.get_problem(state).scm.real)
        free = settable & (share <= self.params.cap)
        # A cap that forbids every node is lifted, since a policy needs at least one legal choice.
        return np.where(free.any(axis=1, keepdims=True), free, settable)

    def step(self, state: State, action: Mapping[str, Array]) -> Step[State]:
        """Set each copy's chosen node to the chosen value and learn from the rows."""
        problem = self.get_problem(state)
        scm = problem.scm
        node, position = validate_action(action, len(state.keys), scm.nodes)
        chosen, values = self.compute_setting(state, node, position)
        keys = counter_rng.fold(state.keys, state.step)
        # Keyed by episode and step: the same action from the same state draws the same rows, so
        # candidates can be compared fairly.
        noise = counter_rng.normal(counter_rng.fold(keys, _ROWS), (self.params.rows, scm.nodes))
        rows = scm.sample(noise, chosen, values)
        student = self.student.learn(state.student, rows, chosen)
        due = np.zeros(len(node), np.bool_)
        if self.params.observe_every:
            due = (state.step + 1) % self.params.observe_every == 0
            # After the intervention's rows and from a stream of their own.
            student = self._observe_rows(scm, student, counter_rng.fold(keys, _OBSERVATION), due)
        after = self._advance(state, student, node, position, due)
        return self._step(state, after, node)

    def compute_setting(self, state: State, node: Ints, position: Floats) -> tuple[Bools, Floats]:
        """Return which nodes are set [B, n] and their values [B, n]."""
        scm = self.get_problem(state).scm
        # A choice against the mask sets nothing: its rows are drawn without an intervention.
        chosen = (np.arange(scm.nodes) == node[:, None]) & self.compute_mask(state)
        return chosen, np.where(chosen, scm.domain_value(node, position)[:, None], 0.0)

    def predict_rewards(self, state: State, action: Mapping[str, Array]) -> Array:
        """Return the reward [B] that the students expect, from what an agent may know."""
        return belief.predict_rewards(self, state, action)

    def charge_lookahead(self, state: State, trials: int) -> State:
        """Return the state after paying for the rows of ``trials`` steps that were taken back.

        Observational rows are free of charge here: a step draws the same ones whatever it sets.
        """
        tried = state.rows_lookahead + trials * self.params.rows
        return dataclasses.replace(state, rows_lookahead=tried)

    def _advance(
        self, state: State, student: object, node: Ints, position: Floats, due: Bools
    ) -> State:
        params = self.params
        now = compute_risk(self.student, student, self.get_problem(state).truth)
        # Compared with the best so far: noise that raises and lowers the risk in turn is no
        # progress.
        fell = now.excess < state.best - params.tolerance
        return State(
            keys=state.keys,
            step=state.step + 1,
            drawn=state.drawn,
            student=student,
            histogram=ValueHistogram.add(state.histogram, node, position),
            recent=reward.remember_choices(state.recent, state.step, node),
            risk=now,
            at_start=state.at_start,
            best=np.where(fell, now.excess, state.best),
            steps_since_fall=np.where(fell, 0, state.steps_since_fall + 1),
            rows_executed=state.rows_executed + params.rows,
            rows_observational=state.rows_observational + due * params.observation_rows,
            rows_lookahead=state.rows_lookahead,
        )

    def _step(self, before: State, after: State, node: Ints) -> Step[State]:
        params = self.params
        real = self.get_problem(after).scm.real
        terms = reward.compute_rewards(
            params.reward, before.risk, after.risk, after.recent, real, node
        )
        # The horizon is the task itself (a budget of rows, shown as t/T in the observation), and
        # nothing can be gained after it: reaching it terminates, and nothing is bootstrapped.
        terminated = after.step >= self.get_problem(after).horizon
        if params.stop_when_learnt:
            terminated = terminated | (after.steps_since_fall >= params.patience)
        return Step(
            state=after,
            observation=observe(self, after),
            reward=terms.sum(axis=1).astype(np.float32),
            terminated=terminated,
            truncated=np.zeros(len(node), np.bool_),
            info=_info(after, terms),
        )

    def compute_choice_losses(self, state: State) -> Floats:
        """Return the excess risk [B, n] of each node."""
        return state.risk.node_excess

    @classmethod
    def make_case_kwargs(cls, case: str, trained_in: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a model; a policy of a family sees it in a family's form."""
        of_family = trained_in.get("scm", Params.scm) in FAMILIES and case not in FAMILIES
        form = {"like_family": True, "interactions": True} if of_family else {}
        return {"scm": case, **form} if case else {}

    def trace_episode(
        self, states: Sequence[State], actions: Sequence[Mapping[str, Array]]
    ) -> EpisodeTrace:
        """See :class:`World`."""
        return record.trace_episode(self, states, actions)

    def summarise(self, episodes: Mapping[str, Floats]) -> dict[str, float]:
        """Return median, means and 90 % quantile of the excess risk at the end of episodes [N]."""
        excess = episodes["excess_risk"]
        return {
            "median": float(np.median(excess)),
            "mean": float(np.mean(excess)),
            "q90": float(np.quantile(excess, 0.9)),
            "geometric_mean": float(np.exp(_log(excess).mean())),
        }

    def compare_with_rule(
        self, episodes: Mapping[str, Floats], rule: Mapping[str, Floats]
    ) -> dict[str, float]:
        """Return the geometric mean ratio to the excess risk of round_robin, seed by seed."""
        # A ratio seed by seed: models differ in difficulty by orders of magnitude.
        gap = _log(episodes["excess_risk"]) - _log(rule["excess_risk"])
        return {"to_round_robin": float(np.exp(gap.mean()))}

    def _observe_rows(self, scm: Scm, student: object, keys: Keys, due: Bools) -> Any:
        """Teach the students of the copies that are due by rows without an intervention."""
        if not due.any():
            return student
        # Only the copies that are due are computed; the rest keep their student untouched.
        noise = counter_rng.normal(keys[due], (self.params.observation_rows, scm.nodes))
        nothing = np.zeros((len(noise), scm.nodes), np.bool_)
        due_scm = scm if self._common else take(scm, due)
        rows = due_scm.sample(noise, nothing, np.zeros(nothing.shape))
        return put(student, due, self.student.learn(take(student, due), rows, nothing))


_NODE_LOSSES = ReportChart(
    "Loss of each node by iteration",
    "Excess risk at the end of the episodes of an iteration, mean over the episodes of the best "
    "trial, on the same scale for every node.",
    curves={"node_losses": "loss"},
    layout="common scale",
    table="node_losses",
)
_REWARD_TERMS = (
    "Terms of the reward by iteration",
    "Mean over the steps of an iteration of the best trial, weights included; each on a scale of "
    "its own.",
)


_STUDENT, _ROWS, _OBSERVATION = 1, 2, 3
"""Random streams of an episode or a step, by purpose."""


def _log(excess: Floats) -> Floats:
    return np.log(np.maximum(excess, 1e-6))


def _student(params: Params, scm: Scm) -> Student[Any]:
    parents, units = scm.parents[0], Units.of(scm)
    if params.like_family:
        return _family_student(params, len(parents), int(parents.sum(axis=1).max()), units)
    if params.student == "mlp":
        # torch is needed by this student alone.
        from envs.causal.learning.mlp_student import MlpStudent

        capacity = max(params.rows, params.observation_rows if params.observe_every else 0)
        return MlpStudent(
            parents, units.to_node_units(probe_points(len(parents))), capacity, params.mlp
        )
    points, size = probe_points(len(parents)), params.features
    return BayesLinear(parents, points, size, params.length_scale, params.ridge, units)


def _family_student(
    params: Params, nodes: int, most_parents: int, units: Units | None = None
) -> FamilyStudent:
    kind = joint_features if params.interactions else additive_features
    return FamilyStudent(
        nodes,
        lambda parents: kind(parents, params.features, params.length_scale),
        probe_points(most_parents),
        params.ridge,
        units,
    )


def _info(state: State, terms: Floats) -> dict[str, Array]:
    figures: dict[str, Array] = {
        "excess_risk": state.risk.excess,
        "excess_at_start": state.at_start,
        "node_excess": state.risk.node_excess,
        "postmortem_loss": state.risk.postmortem,
        "rows": state.rows_executed + state.rows_observational + state.rows_lookahead,
        "rows_executed": state.rows_executed,
        "rows_observational": state.rows_observational,
        "rows_lookahead": state.rows_lookahead,
        "length": state.step,
        "reward_before_bonus": terms[:, :2].sum(axis=1),
    }
    return figures | {f"reward_{name}": terms[:, i] for i, name in enumerate(reward.NAMES)}
