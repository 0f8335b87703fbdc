"""CausalOptimisation: choose interventions that drive one node of a model down.

Each episode brings a model never seen before. Some rows are seen without an intervention; then each
step sets one node to one value, draws rows and shows them. The graph is not observed: the policy
has to find out what lowers the target while every step counts. The score is the target's true
expectation under each intervention, on a scale with 0 where nothing is set and 1 at the best single
intervention.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.causal.action import validate_action
from envs.causal.models.families import FAMILIES
from envs.causal.models.named import load_model
from envs.causal.optimisation import baselines, record
from envs.causal.optimisation.lessons import CURRICULUM, Lesson, Lessons, OneModel, ProblemSource
from envs.causal.optimisation.observation import (
    CHANNELS,
    CONTEXT,
    FEATURES,
    Experiments,
    describe_observed_rows,
    rows,
    statistics,
)
from envs.causal.optimisation.params import Params
from envs.causal.optimisation.state import State
from envs.contract import counter_rng
from envs.contract.episode_trace import EpisodeTrace
from envs.contract.pytree import Array, Floats, Ints, Keys, Observation
from envs.contract.world import Agent, Stage, Step, World

ROWS = ("rows", "rows_lookahead")
FROM_POOL = "from_pool"
"""The episode metric that is 1 where the model is one of the pool."""


class CausalOptimisation(World[State]):
    """The world of one :class:`Params`."""

    params_type = Params
    episode_metrics: ClassVar = (
        "episode_mean",
        "last3",
        "best",
        "target_mean",
        "incumbent",
        "range_utilisation",
        "episode_improvement",
        "parent_accuracy",
        *ROWS,
        "stage",
        FROM_POOL,
    )
    score_metric: ClassVar = "episode_mean"
    score_mode: ClassVar = "max"
    slow_baselines: ClassVar = frozenset[str]()
    reference_rule: ClassVar = "obs_ols"
    case_flag: ClassVar = "scm"

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.source = _source(params)
        pooled = f", and {params.pool_fraction:.0%} of the pool" if params.pool else ""
        lessons = CURRICULUM.items() if params.curriculum else ()
        self.stages = tuple(Stage(lesson.name + pooled, score) for lesson, score in lessons)
        self.choice_names = self.source.names
        n = len(self.choice_names)
        self.baselines: Mapping[str, Agent] = baselines.AGENTS
        inner: dict[str, gymnasium.Space[Any]] = {
            "nodes": spaces.Box(-10.0, 10.0, (n, FEATURES), np.float32),
            "mask": spaces.Box(0.0, 1.0, (n,), np.float32),
            "context": spaces.Box(-10.0, 10.0, (CONTEXT,), np.float32),
        }
        if params.graph:
            inner["parents"] = spaces.Box(0.0, 1.0, (n, n), np.float32)
        if params.observation == "rows":
            length = params.observations + params.interventions
            inner["rows"] = spaces.Box(-10.0, 10.0, (length, n, CHANNELS), np.float32)
        self.observation_space = spaces.Dict(inner)
        self.action_space: gymnasium.Space[Any] = spaces.Dict(
            {"choice": spaces.Discrete(n), "value": spaces.Box(-1.0, 1.0, (), np.float32)}
        )

    @property
    def episode_limit(self) -> int:
        """See :class:`World`."""
        return self.params.interventions

    def reset(self, keys: Keys) -> tuple[State, Observation]:
        """Draw models for keys [B] and their rows without an intervention."""
        params, B, n, N = self.params, len(keys), len(self.source.names), self.source.nodes
        T = params.interventions
        problem = self.source.draw(counter_rng.fold(keys, _MODEL), self.stage)
        # All N nodes are sampled, but hidden ones (the last) are cut off before the policy sees
        # rows.
        noise = counter_rng.normal(counter_rng.fold(keys, _OBSERVED), (params.observations, N))
        nothing = np.zeros((B, N))
        scm = self.source.get_scm(problem)
        observed = scm.sample(noise, nothing > 0, nothing)[:, :, :n]
        experiments = Experiments(
            target=problem.target,
            allowed=problem.allowed,
            real=problem.real,
            low=problem.low,
            high=problem.high,
            observed=observed,
            natural=describe_observed_rows(
                observed, problem.target, problem.real, problem.low, problem.high
            ),
            means=np.zeros((B, T, n)),
            is_set=np.zeros((B, T, n), np.bool_),
            position=np.zeros((B, T, n)),
            step=np.zeros(B, np.int64),
        )
        state = State(
            keys=keys,
            stage=np.full(B, self.stage),
            problem=problem,
            experiments=experiments,
            chosen=np.full((B, T), -1),
            last_chosen_step=np.full((B, n), -1),
            position=np.zeros((B, n)),
            expected=np.zeros((B, T)),
            rows_lookahead=np.zeros(B, np.int64),
        )
        return state, self._observe(state)

    def step(self, state: State, action: Mapping[str, Array]) -> Step[State]:
        """Set each copy's chosen node to the chosen value, in addition to those still in force.

        A node that the mask forbids is not set: such a choice only observes.
        """
        node, position = validate_action(action, len(state.keys), len(self.source.names))
        next_state = self._advance(state, node, position)
        every, last = np.arange(len(node)), state.experiments.step
        rewards = {
            "reward_expected": next_state.problem.normalise(next_state.expected[every, last]),
            "reward_observed": next_state.problem.normalise(
                next_state.experiments.outcomes[every, last]
            ),
        }
        # The horizon is the task itself (a budget of rows, shown as t/T in the observation), and
        # nothing can be gained after it: reaching it terminates, and nothing is bootstrapped.
        return Step(
            state=next_state,
            observation=self._observe(next_state),
            # An optimum close to the base makes the normalised scale small and rewards huge without
            # the clip.
            reward=np.clip(rewards[f"reward_{self.params.reward}"], -2, 2).astype(np.float32),
            terminated=next_state.experiments.step >= self.params.interventions,
            truncated=np.zeros(len(node), np.bool_),
            info=self._info(next_state) | rewards,
        )

    def charge_lookahead(self, state: State, trials: int) -> State:
        """Return the state after paying for the rows of ``trials`` steps that were taken back."""
        rows_lookahead = state.rows_lookahead + trials * self.params.rows
        return dataclasses.replace(state, rows_lookahead=rows_lookahead)

    def _advance(self, state: State, node: Ints, new_position: Floats) -> State:
        problem, experiments, every = state.problem, state.experiments, np.arange(len(node))
        n, N = len(self.source.names), self.source.nodes
        t = experiments.step
        since, position, chosen = (
            state.last_chosen_step.copy(),
            state.position.copy(),
            state.chosen.copy(),
        )
        since[every, node], position[every, node], chosen[every, t] = t, new_position, node
        # The number of nodes chosen after each one: the ``at_once`` latest stay in force.
        num_later = (since[:, None, :] > since[:, :, None]).sum(axis=2)
        # A forbidden choice takes its turn but sets nothing.
        in_force = (since >= 0) & (num_later < self.params.at_once) & experiments.allowed
        to_hidden = [(0, 0), (0, N - n)]
        is_set = np.pad(in_force, to_hidden)
        values = np.pad(
            experiments.low + (position + 1) / 2 * (experiments.high - experiments.low), to_hidden
        )
        # The rows that are seen and the fixed ones that expectations are made of, in one pass.
        noise = counter_rng.normal(counter_rng.fold(state.keys, t), (self.params.rows, N))
        # The same noise for every intervention and copy: differences of expectations are then
        # precise.
        fixed = np.broadcast_to(self.source.noise, (len(node), *self.source.noise.shape))
        samples = self.source.get_scm(problem).sample(
            np.concatenate([noise, fixed], axis=1), is_set, values
        )
        means = samples[:, : self.params.rows, :n].mean(axis=1)
        # Summed in double precision, because rewards are small differences of these means.
        truth = samples[every, self.params.rows :, problem.target].mean(axis=1, dtype=np.float64)
        return dataclasses.replace(
            state,
            experiments=dataclasses.replace(
                experiments,
                means=_write_at_steps(experiments.means, t, means),
                is_set=_write_at_steps(experiments.is_set, t, in_force),
                position=_write_at_steps(experiments.position, t, position * in_force),
                step=t + 1,
            ),
            chosen=chosen,
            last_chosen_step=since,
            position=position,
            expected=_write_at_steps(state.expected, t, truth),
        )

    def _observe(self, state: State) -> dict[str, Array]:
        observation = statistics(state.experiments)
        if self.params.graph:
            observation["parents"] = state.problem.parents.astype(np.float32)
        if self.params.observation == "rows":
            observation["rows"] = rows(state.experiments)
        return observation

    def _info(self, state: State) -> dict[str, Array]:
        """Return the figures of the episodes so far; see :meth:`summarise`."""
        params, experiments, done = self.params, state.experiments, state.experiments.done
        every, t, steps = np.arange(len(done)), np.arange(done.shape[1]), experiments.step[:, None]
        scores = state.problem.normalise(state.expected)
        last = _mean(scores, done & (t >= steps - 3))
        # The incumbent is chosen by what was observed, and scored by the truth.
        lowest = np.where(done, experiments.outcomes, np.inf).argmin(axis=1)
        is_parent = state.problem.parents[every, state.problem.target]
        executed = experiments.step * params.rows
        observational = np.full_like(executed, params.observations)
        return {
            "episode_mean": _mean(scores, done),
            "last3": last,
            "best": np.where(done, scores, -np.inf).max(axis=1),
            "target_mean": _mean(state.expected, done),
            "incumbent": state.expected[every, lowest],
            "range_utilisation": _range_utilisation(experiments),
            "episode_improvement": last - _mean(scores, done & (t < 3)),
            "parent_accuracy": _mean(is_parent[every[:, None], state.chosen], done),
            "rows": executed + observational + state.rows_lookahead,
            "rows_executed": executed,
            "rows_observational": observational,
            "rows_lookahead": state.rows_lookahead,
            "length": experiments.step,
            "stage": state.stage,
            FROM_POOL: (state.problem.member > 0).astype(float),
        }

    @classmethod
    def make_case_kwargs(cls, case: str, trained_in: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a model, without the target and pool of another one."""
        reset = {name: "" for name in ("target", "pool") if trained_in.get(name)}
        return {"scm": case, "curriculum": False, **reset} if case else {}

    def trace_episode(
        self, states: Sequence[State], actions: Sequence[Mapping[str, Array]]
    ) -> EpisodeTrace:
        """See :class:`World`."""
        return record.trace_episode(self.source, self.params.graph, states, actions)

    def summarise(self, episodes: Mapping[str, Floats]) -> dict[str, float]:
        """Return means over episodes [N].

        ``episode_mean`` and ``last3`` (its last three steps) are scores, on the scale with 1 at the
        best single intervention, and ``episode_improvement`` is from the first three to the last;
        ``incumbent`` is the target's expectation under the intervention with the lowest rows, in
        the target's own units; ``pool_mean`` is the score in the models of the pool alone.
        """
        left_out = ("stage", FROM_POOL, *ROWS)
        names = [name for name in self.episode_metrics if name not in left_out]
        means = {name: float(np.mean(episodes[name])) for name in names}
        is_from_pool = np.asarray(episodes[FROM_POOL]) > 0
        return means | (
            {"pool_mean": float(episodes[self.score_metric][is_from_pool].mean())}
            if is_from_pool.any()
            else {}
        )

    def compare_with_rule(
        self, episodes: Mapping[str, Floats], rule: Mapping[str, Floats]
    ) -> dict[str, float]:
        """Return the gain of episodes [N] over regression on observed rows.

        On average, and the share of the models in which they are no more than 0.1 worse.
        """
        gain = episodes[self.score_metric] - rule[self.score_metric]
        return {"gain_over_ols": float(gain.mean()), "ols_or_better": float((gain >= -0.1).mean())}


def _source(params: Params) -> ProblemSource:
    lessons = tuple(CURRICULUM) if params.curriculum else ()
    if not params.curriculum and params.scm in FAMILIES:
        lessons = (Lesson("", (params.scm,), params.smallest, params.largest),)
    if lessons and params.pool:
        # Files may be in formats whose libraries are slow to import.
        from envs.causal.optimisation.pool import Pooled, read_pool

        pool = tuple(read_pool(params.pool, params.target).values())
        return Pooled(lessons, pool, params.pool_fraction, params.precision)
    if lessons:
        return Lessons(lessons, params.precision)
    model = load_model(params.scm)
    return OneModel(model.with_target(params.target) if params.target else model, params.precision)


_MODEL, _OBSERVED = 2**32, 2**32 + 1
"""Random streams of an episode; those of its steps are numbered from 0."""


def _write_at_steps(history: Array, step: Ints, entry: Array) -> Array:
    """Return a history [B, T, ...] with entries [B, ...] written at steps [B]."""
    history = history.copy()
    history[np.arange(len(step)), step] = entry
    return history


def _mean(x: Array, mask: Array) -> Floats:
    """Return means [B] of x [B, T] over the marked steps [B, T]."""
    return (x * mask).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)


def _range_utilisation(experiments: Experiments) -> Floats:
    """Return the share of its domain that a node's values span [B], over often-set nodes.

    Those are nodes that were set three times, or, if there are none, most often. The middle of the
    domain counts as used: a node held at one end spans half of it, for settling on an end is no
    timidity.
    """
    times = experiments.is_set.sum(axis=1)
    often = (times >= np.minimum(times.max(axis=1), 3)[:, None]) & (times > 0)
    # clip(0) counts the middle of the domain as used; unset nodes have position 0 and add nothing.
    span = experiments.position.max(axis=1).clip(0) - experiments.position.min(axis=1).clip(None, 0)
    return _mean(span / 2, often)
