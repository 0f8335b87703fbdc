"""EdgeSelection: choose edges of a sparse matrix's graph so that a solver does less work.

An episode is one matrix. The objective defines the use of the chosen edges: the hierarchy of a
multigrid solver or the pattern of an approximate inverse (one step), or a sparsifier that grows by
one batch per step.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.contract import counter_rng
from envs.contract.episode_trace import EpisodeTrace
from envs.contract.pytree import Array, Bools, Floats, Keys, Observation
from envs.contract.world import Agent, Comparison, Stage, Step, World
from envs.edges import baselines, comparison, graph, instances, matrices, record, solvers
from envs.edges.instances import Matrix
from envs.edges.objectives import (
    EdgeObjective,
    Fsai,
    Instance,
    Multigrid,
    Result,
    Sparsifier,
    select_picked_edges,
)
from envs.edges.params import Params
from envs.edges.state import State
from rungwise.validation import InputError

REMEMBERED = 2**18
"""Largest total number of nodes of cached instances; at least eight instances are cached."""


class EdgeSelection(World[State]):
    """The world of one :class:`Params`."""

    params_type = Params
    episode_metrics: ClassVar = (
        "work_ratio",
        "iterations",
        "work_per_digit",
        "operator_complexity",
        "selected_fraction",
        "stage",
        "length",
    )
    score_metric: ClassVar = "work_ratio"
    score_mode: ClassVar = "min"
    case_flag: ClassVar = "matrix"

    def __init__(self, params: Params, matrix: Matrix | None = None) -> None:
        """Prepare the world; ``matrix`` is one of a user's own, checked, in place of a file."""
        super().__init__(params)
        self.objective = _objective(params)
        self.choice_names = ()
        self.matrix = matrices.load_matrix(params.matrix) if params.matrix else matrix
        epsilons = (*params.epsilons, instances.SMALLEST_EPSILON)
        # One of the two curricula at most: the other's figure is the same in all stages.
        self.sides = (
            (*params.sizes, params.size) if params.sizes else (params.size,) * len(epsilons)
        )
        self.epsilons = epsilons * len(self.sides) if params.sizes else epsilons
        names = [f"{side} x {side}" for side in self.sides] if params.sizes else []
        names += [f"eps from {epsilon:g}" for epsilon in epsilons] if params.epsilons else []
        self.stages = tuple(Stage(name, params.mastered) for name in names)
        # An instance includes a measured reference, so it is cached by key and stage.
        self._memory: OrderedDict[tuple[int, int], Instance] = OrderedDict()
        # Shapes of the space follow from bounds of the family, without a draw: all instances are
        # padded to them.
        if self.matrix is None:
            self.nodes = instances.capacity(params.law, params.size)[0]
            self.edges = self.objective.capacity(params.law, params.size)
        else:
            self.nodes = self.matrix.shape[0]
            self.edges = len(
                self.objective.start(*self.draw_matrix(counter_rng.make_keys(0, 1)))[1]
            )
        self.decisions, self.picks = self.objective.decisions(self.nodes)
        self.baselines: Mapping[str, Agent] = baselines.make_agents(self.objective.score_names)
        self.observation_space = self._observation_space()
        self.action_space: gymnasium.Space[Any] = (
            spaces.Box(-1.0, 1.0, (self.objective.latent,), np.float32)
            if params.action == "latent"
            else spaces.Box(-1, self.edges - 1, (self.decisions, self.picks), np.int64)
        )

    def get_instance(self, key: Keys, stage: int | None = None) -> Instance:
        """Return the instance of an episode's key [1], computed again if no longer cached."""
        # An episode keeps the stage that it began in, even if the curriculum advances meanwhile.
        stage = self.stage if stage is None else stage
        name = int(self._get_matrix_key(key)[0]), stage
        if name not in self._memory:
            self._memory[name] = self._make_instance(key, stage)
            # Least recently used first: an episode's instance is needed at every of its steps.
            while len(self._memory) > max(8, REMEMBERED // self.nodes):
                self._memory.popitem(last=False)
        self._memory.move_to_end(name)
        return self._memory[name]

    def draw_matrix(self, key: Keys, stage: int | None = None) -> tuple[Matrix, Keys]:
        """Return the matrix of an episode's key [1] and the key [1] of its other random numbers."""
        named, stage = self._get_matrix_key(key), self.stage if stage is None else stage
        matrix = self.matrix
        if matrix is None:
            matrix_key, law = counter_rng.fold(named, 1), self.params.law
            matrix = instances.draw_matrix(law, self.sides[stage], matrix_key, self.epsilons[stage])
        return matrix, counter_rng.fold(named, 2)

    def choose_on_matrix(
        self, matrix: Matrix, key: Keys, act: Callable[[Any], Array]
    ) -> tuple[graph.Graph, Bools]:
        """Return the graph of a matrix and the edges [E] that ``act(observation)`` chooses.

        The computation of an episode without its rewards, which a user of the edges needs.
        """
        matrix_graph, kept = self.objective.start(matrix, key)
        scores = matrix_graph.scores
        for step in range(self.objective.steps):
            action = self._validate_action(
                act(self._observe_copy(matrix_graph, kept, scores, step))[None], 1
            )[0]
            kept = kept | self.choose_edges(matrix_graph, kept, scores, action)
            # Scores after the last batch would cost a factorisation that no choice reads.
            if step + 1 < self.objective.steps:
                scores = self.objective.scores(matrix_graph, kept)
        return matrix_graph, kept

    @property
    def episode_limit(self) -> int:
        """See :class:`World`."""
        return self.objective.steps

    def reset(self, keys: Keys) -> tuple[State, Observation]:
        """Draw new matrices for keys [B]."""
        B = len(keys)
        kept = np.zeros((B, self.edges), np.bool_)
        # Padding has the weakest score, -1.
        scores = np.full((B, self.edges, graph.SCORES), -1, np.float32)
        level = np.zeros(B)
        for b in range(B):
            instance = self.get_instance(keys[b : b + 1])
            E = len(instance.kept)
            kept[b, :E], scores[b, :E] = instance.kept, instance.graph.scores
            level[b] = instance.start.level
        state = State(keys, np.zeros(B, np.int64), kept, scores, level, np.full(B, self.stage))
        return state, self._observe(state)

    def step(self, state: State, action: Array) -> Step[State]:
        """Choose edges in each copy."""
        actions = self._validate_action(action, len(state.keys))
        kept, scores, level = state.kept.copy(), state.scores.copy(), state.level.copy()
        results: list[Result] = []
        # Matrices differ in sparsity from copy to copy, so copies are evaluated one by one.
        for b, choice in enumerate(actions):
            instance, kept_b, scores_b = self.unpad_copy(state, b)
            now = kept_b | self.choose_edges(instance.graph, kept_b, scores_b, choice)
            result = self.objective.evaluate(instance, now, float(level[b]), self.params.solve)
            E = len(now)
            kept[b, :E], scores[b, :E] = now, self.objective.scores(instance.graph, now)
            level[b] = result.level
            results.append(result)
        after = State(state.keys, state.step + 1, kept, scores, level, state.stage)
        return Step(
            state=after,
            observation=self._observe(after),
            reward=np.array([result.reward for result in results], np.float32),
            # The last step ends the task, so it terminates and nothing is bootstrapped.
            terminated=after.step >= self.objective.steps,
            truncated=np.zeros(len(results), np.bool_),
            info=self._info(after, results),
        )

    def choose_edges(
        self, edge_graph: graph.Graph, kept: Bools, scores: Floats, action: Array
    ) -> Bools:
        """Return the edges [E] that an action of one copy chooses, given kept edges and scores."""
        if self.params.action == "latent":
            return self.objective.choose_edges(edge_graph, kept, scores, action.astype(np.float64))
        return select_picked_edges(action[: len(edge_graph.starts) - 1], edge_graph, kept)

    def unpad_copy(self, state: State, b: int) -> tuple[Instance, Bools, Floats]:
        """Return copy b without padding: its instance, kept edges [E] and scores [E, 4]."""
        instance = self.get_instance(state.keys[b : b + 1], int(state.stage[b]))
        E = len(instance.kept)
        return instance, state.kept[b, :E], state.scores[b, :E].astype(np.float64)

    def summarise(self, episodes: Mapping[str, Floats]) -> dict[str, float]:
        """Return the geometric mean of the work ratio and the mean figures of episodes [N].

        Without those that mean nothing for what was played: a solver selects no edges.
        """
        ratio = float(np.exp(np.log(episodes["work_ratio"]).mean()))
        means = [n for n in (*self.episode_metrics[1:-2], "setup_seconds") if n in episodes]
        rest = {name: float(episodes[name].mean()) for name in means}
        return {"work_ratio": ratio} | {n: mean for n, mean in rest.items() if not np.isnan(mean)}

    def draw_case_parameters(self, keys: Keys) -> dict[str, Floats]:
        """Return ``epsilon`` and ``theta`` [N] of episodes [N]; empty where matrices have none."""
        if self.matrix is not None:
            return {}
        each = [
            instances.parameters(
                self.params.law,
                counter_rng.fold(self._get_matrix_key(keys[b : b + 1]), 1),
                self.epsilons[self.stage],
            )
            for b in range(len(keys))
        ]
        return {name: np.array([case[name] for case in each]) for name in each[0]}

    def trace_episode(self, states: Sequence[State], actions: Sequence[Array]) -> EpisodeTrace:
        """See :class:`~envs.contract.world.World`: a part of the graph."""
        del actions
        return record.trace_episode(self, states)

    def evaluate_competitors(self, keys: Keys) -> dict[str, dict[str, Floats]]:
        """Return the episode metrics [N] of solvers, by name, on the matrices of keys [N]."""
        instances = (self.get_instance(keys[b : b + 1]) for b in range(len(keys)))
        constant = {"stage": np.full(len(keys), float(self.stage)), "length": np.ones(len(keys))}
        competitors = solvers.evaluate_competitors(self.objective, instances)
        return {name: figures | constant for name, figures in competitors.items()}

    def measure_player(self, keys: Keys, act: Callable[[Any], Array]) -> dict[str, Floats]:
        """Return ``setup_seconds`` [N] from a matrix to a usable solver, on episodes of keys [N].

        They include the scores of the edges, the agent's own time (``act(observation)``) and the
        construction of what the edges are for, such as PyAMG's hierarchy.
        """
        seconds = np.zeros(len(keys))
        for b in range(len(keys)):
            matrix, key = self.draw_matrix(keys[b : b + 1])
            started = time.perf_counter()
            self.objective.build(*self.choose_on_matrix(matrix, key, act))
            seconds[b] = time.perf_counter() - started
        return {"setup_seconds": seconds}

    @classmethod
    def make_case_kwargs(cls, case: str, trained_in: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a fair comparison, on a matrix file if given.

        Training repeats its matrices and predicts iterations from the first five; a comparison
        needs matrices that the policy has not seen, solved to the end.
        """
        on_file = {"matrix": case, "family": None, "sizes": (), "epsilons": ()} if case else {}
        return {"instances": 0, "solve": True, **on_file}

    def describe_comparison(
        self,
        keys: Keys,
        episodes: Mapping[str, Mapping[str, Floats]],
        solvers: Sequence[str],
        actions: Array,
        checkpoint: str,
    ) -> Comparison:
        """See :class:`~envs.contract.world.World`."""
        if self.matrix is None:
            return comparison.describe_cases(self.draw_case_parameters(keys), episodes)
        return comparison.describe_choice(
            self, self.nodes, episodes, solvers, actions[0], checkpoint
        )

    def _get_matrix_key(self, key: Keys) -> Keys:
        """Return the key [1] that episodes on the same matrix share."""
        if self.matrix is not None:
            return counter_rng.make_keys_from_seeds(np.zeros(1, np.uint64))
        if self.params.instances:
            return counter_rng.make_keys_from_seeds(
                # Reduced modulo the number of instances: episodes with equal remainders share a
                # matrix, which the cache then holds.
                counter_rng.fold(key, 1) % np.uint64(self.params.instances)
            )
        return key

    def _make_instance(self, key: Keys, stage: int) -> Instance:
        made = self.objective.instance(*self.draw_matrix(key, stage), self.params.solve)
        if self.matrix is None and len(made.kept) > self.edges:
            raise InputError(
                f"A matrix has {len(made.kept)} edges to choose from, but {self.edges} were "
                "foreseen for its family: take observation='summary' and a smaller size."
            )
        return made

    def _observation_space(self) -> spaces.Space[Any]:
        summed = spaces.Box(-10.0, 10.0, (graph.SUMMARY + 1,), np.float32)
        if self.params.observation == "summary":
            return summed
        N, E = self.nodes, self.edges
        return spaces.Dict(
            {
                "nodes": spaces.Box(-10.0, 10.0, (N, graph.NODE_FEATURES), np.float32),
                "edges": spaces.Box(0, N - 1, (2, E), np.int64),
                "edge_features": spaces.Box(-10.0, 10.0, (E, graph.EDGE_FEATURES), np.float32),
                "node_mask": spaces.Box(0.0, 1.0, (N,), np.float32),
                "edge_mask": spaces.Box(0.0, 1.0, (E,), np.float32),
                "legal": spaces.Box(0.0, 1.0, (E,), np.float32),
                "summary": summed,
            }
        )

    def _observe(self, state: State) -> Observation:
        views: list[Any] = []
        for b in range(len(state.keys)):
            instance, kept, scores = self.unpad_copy(state, b)
            views.append(self._observe_copy(instance.graph, kept, scores, int(state.step[b])))
        if self.params.observation == "summary":
            return np.stack(views)
        return {name: np.stack([part[name] for part in views]) for name in views[0]}

    def _observe_copy(self, edge_graph: graph.Graph, kept: Bools, scores: Floats, step: int) -> Any:
        """Return the observation of one copy after ``step`` steps."""
        # Sequential objectives need the time; for the others it is constant.
        progress = np.float32(step / self.objective.steps)
        summed = np.clip(np.append(graph.summary(scores, edge_graph), progress), -10, 10)
        if self.params.observation == "summary":
            return summed
        return graph.pad_graph(edge_graph, scores, kept, self.nodes, self.edges) | {
            "summary": summed
        }

    def _info(self, state: State, results: list[Result]) -> dict[str, Array]:
        copies = [self.unpad_copy(state, b)[:2] for b in range(len(results))]
        references = [instance.reference for instance, _ in copies]
        work = np.array([result.work for result in results])
        usual = np.array([reference.work for reference in references])
        info: dict[str, Array] = {
            "work_ratio": work / usual,
            "work_per_digit": work,
            "reference_work": usual,
            "iterations": np.array([result.iterations for result in results]),
            "reference_iterations": np.array([reference.iterations for reference in references]),
            "operator_complexity": np.array([result.complexity for result in results]),
            "selected_fraction": np.array([kept.mean() for _, kept in copies]),
            "stage": state.stage,
            "length": state.step,
        }
        if any(result.row_rewards is not None for result in results):
            info["row_reward"] = np.zeros((len(results), self.nodes), np.float32)
            for row, result in zip(info["row_reward"], results, strict=True):
                if result.row_rewards is not None:
                    row[: len(result.row_rewards)] = result.row_rewards
        return info

    def _validate_action(self, action: Array, copies: int) -> Array:
        """Check that an action [B, ...] has the space's shape and is finite."""
        array, shape = np.asarray(action), self.action_space.shape or ()
        if array.shape != (copies, *shape):
            raise InputError(
                f"An action of {copies} copies has the shape {(copies, *shape)}, but this one has "
                f"{array.shape}."
            )
        if not np.isfinite(array).all():
            raise InputError("The action must be finite, but it has NaN or infinite numbers.")
        return array.astype(np.float64 if self.params.action == "latent" else np.int64)


def _objective(params: Params) -> EdgeObjective:
    if params.objective == "multigrid":
        return Multigrid(params.k, params.builder, params.reward)
    return Fsai(params.k) if params.objective == "fsai" else Sparsifier(params.steps)
