"""EdgeSelection: choose edges of a sparse matrix's graph so that a solver does less work.

An episode is one matrix. What the chosen edges are for is the objective's: the hierarchy of a
multigrid solver or the pattern of an approximate inverse (one step), or a sparsifier that grows by
a batch a step.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from envs import counter_rng
from envs.batched import Agent, Stage, Step, World
from envs.edges import baselines, graph, instances, matrices, record
from envs.edges.instances import Matrix
from envs.edges.multigrid import Builder, Reward
from envs.edges.objectives import (
    Fsai,
    Instance,
    Multigrid,
    Objective,
    Result,
    Sparsifier,
    select_picked_edges,
)
from envs.episode_trace import EpisodeTrace
from envs.pytree import Array, Bools, Floats, Ints, Keys, Observation
from envs.validation import AtLeastOne, Between, InputError, NonNegative, Positive, validate

REMEMBERED = 2**18
"""Nodes of the instances that are kept in memory, all together; at least eight instances are."""


@dataclasses.dataclass(frozen=True)
class Params:
    """The task."""

    objective: Literal["multigrid", "fsai", "sparsifier"] = "multigrid"
    """What the edges are for: a multigrid hierarchy, an approximate inverse, a sparsifier."""
    action: Literal["latent", "edges"] = "latent"
    """Weights of edge scores and a threshold, the same at any size, or the picks themselves."""
    observation: Literal["summary", "graph"] = "summary"
    """What the agent sees: 31 numbers that sum the graph up, or its nodes and edges as well."""
    family: instances.Family | None = None
    """The law of the matrices; None: weighted_grid for a sparsifier, else anisotropic."""
    size: Annotated[int, Between(4, 512)] = 32
    """Side of the grid: matrices have size x size nodes (the gallery has sizes of its own)."""
    sizes: tuple[int, ...] = ()
    """Sides that come before `size`, in a curriculum: each until `mastered` is reached."""
    mastered: Annotated[float, Positive] = 0.8
    """The mean work ratio at which a curriculum goes on to the next size."""
    matrix: str = ""
    """Path of a matrix of your own (.mtx, .mtx.gz, .npz), taken instead of a family's."""
    k: Annotated[int, AtLeastOne] = 3
    """Edges for each node (fsai, and multigrid with action='edges')."""
    steps: Annotated[int, AtLeastOne] = 8
    """Batches in which a sparsifier's edges are added."""
    builder: Builder = "smoothed_aggregation"
    """Which of PyAMG's hierarchies is built (multigrid)."""
    reward: Reward = "work"
    """What is earned (multigrid): the work against PyAMG's default, or the original's rewards."""
    instances: Annotated[int, NonNegative] = 0
    """How many different matrices there are, for cheaper training; 0: every episode has its own.

    Evaluate with 0: otherwise the matrices are those of the training."""
    solve: bool = True
    """Whether systems are solved to the end; False predicts iterations from the first five."""

    def __post_init__(self) -> None:
        validate(self)
        if self.matrix and self.family:
            raise InputError(
                f"family={self.family!r} and matrix={self.matrix!r} exclude each other: leave out "
                "one of them."
            )
        if any(not 4 <= side < self.size for side in self.sizes):
            raise InputError(
                f"sizes must be sides from 4 to below size={self.size}, which comes last, but they "
                f"are {list(self.sizes)}."
            )
        if self.sizes and (self.matrix or self.law == "gallery"):
            what = f"matrix={self.matrix!r}" if self.matrix else "family='gallery'"
            raise InputError(f"sizes={list(self.sizes)} mean nothing with {what}: leave them out.")
        if self.sizes and (self.objective, self.action) == ("sparsifier", "edges"):
            raise InputError(
                "A sparsifier's batches grow with the graph, so that picks cannot change size: "
                "take action='latent', or leave out sizes."
            )
        if self.objective == "sparsifier" and self.family not in (None, *instances.GRAPHS):
            raise InputError(
                f"objective='sparsifier' needs a graph's Laplacian, but family is {self.family!r}: "
                f"take one of {', '.join(instances.GRAPHS)}, or a matrix of your own."
            )

    @property
    def law(self) -> instances.Family:
        """The family in use."""
        return self.family or ("weighted_grid" if self.objective == "sparsifier" else "anisotropic")


@dataclasses.dataclass(frozen=True)
class State:
    """B copies of the task; their matrices follow from the keys."""

    keys: Keys
    """[B]: the keys of the episodes."""
    step: Ints
    """[B]: steps done."""
    kept: Bools
    """[B, E]: edges chosen so far."""
    scores: Floats
    """[B, E, 4] float32: how strong each edge looks now."""
    level: Floats
    """[B]: the quality from which improvement counts."""
    stage: Ints
    """[B]: the stage of the curriculum in which the episode was begun."""


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

    def __init__(self, params: Params, matrix: Matrix | None = None) -> None:
        """Prepare the world; ``matrix`` is one of a user's own, checked, in place of a file."""
        super().__init__(params)
        self.objective = _objective(params)
        self.choice_names = ()
        self.matrix = matrices.load_matrix(params.matrix) if params.matrix else matrix
        self.sides = (*params.sizes, params.size)
        if params.sizes:
            self.stages = tuple(Stage(f"{n} x {n}", params.mastered) for n in self.sides)
        self._memory: OrderedDict[tuple[int, int], Instance] = OrderedDict()
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
        """The instance of an episode's key [1]: always the same, made anew where forgotten."""
        stage = self.stage if stage is None else stage
        name = int(self._get_matrix_key(key)[0]), stage
        if name not in self._memory:
            self._memory[name] = self._make_instance(key, stage)
            while len(self._memory) > max(8, REMEMBERED // self.nodes):
                self._memory.popitem(last=False)
        self._memory.move_to_end(name)
        return self._memory[name]

    def draw_matrix(self, key: Keys, stage: int | None = None) -> tuple[Matrix, Keys]:
        """The matrix of an episode's key [1] and the key [1] of all else about it."""
        named, side = self._get_matrix_key(key), self.sides[self.stage if stage is None else stage]
        matrix = self.matrix
        if matrix is None:
            matrix = instances.draw_matrix(self.params.law, side, counter_rng.fold(named, 1))
        return matrix, counter_rng.fold(named, 2)

    def choose_on_matrix(
        self, matrix: Matrix, key: Keys, act: Callable[[Any], Array]
    ) -> tuple[graph.Graph, Bools]:
        """The graph of a matrix and the edges [E] that ``act(observation)`` chooses on it.

        An episode without its rewards: what a user who wants the edges has to wait for.
        """
        found, kept = self.objective.start(matrix, key)
        scores = found.scores
        for step in range(self.objective.steps):
            action = self._validate_action(
                act(self._observe_copy(found, kept, scores, step))[None], 1
            )[0]
            kept = kept | self.choose_edges(found, kept, scores, action)
            if step + 1 < self.objective.steps:
                scores = self.objective.scores(found, kept)
        return found, kept

    @property
    def episode_limit(self) -> int:
        """See :class:`World`."""
        return self.objective.steps

    def reset(self, keys: Keys) -> tuple[State, Observation]:
        """New matrices, for keys [B]."""
        B = len(keys)
        kept = np.zeros((B, self.edges), np.bool_)
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
        for b, own in enumerate(actions):
            instance, kept_b, scores_b = self.unpad_copy(state, b)
            now = kept_b | self.choose_edges(instance.graph, kept_b, scores_b, own)
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
            # The last step is the task's end: there is nothing to bootstrap from.
            terminated=after.step >= self.objective.steps,
            truncated=np.zeros(len(results), np.bool_),
            info=self._info(after, results),
        )

    def choose_edges(
        self, edge_graph: graph.Graph, kept: Bools, scores: Floats, action: Array
    ) -> Bools:
        """The edges [E] that an action of one copy chooses, given kept ones and their scores."""
        if self.params.action == "latent":
            return self.objective.choose_edges(edge_graph, kept, scores, action.astype(np.float64))
        return select_picked_edges(action[: len(edge_graph.starts) - 1], edge_graph, kept)

    def unpad_copy(self, state: State, b: int) -> tuple[Instance, Bools, Floats]:
        """Copy b of a state without padding: its instance, kept edges [E] and scores [E, 4]."""
        instance = self.get_instance(state.keys[b : b + 1], int(state.stage[b]))
        E = len(instance.kept)
        return instance, state.kept[b, :E], state.scores[b, :E].astype(np.float64)

    def summarise(self, episodes: Mapping[str, Floats]) -> dict[str, float]:
        """Geometric mean of work against the reference's and mean figures of episodes [N].

        Without those that mean nothing for what was played: a solver selects no edges.
        """
        ratio = float(np.exp(np.log(episodes["work_ratio"]).mean()))
        means = [n for n in (*self.episode_metrics[1:-2], "setup_seconds") if n in episodes]
        found = {name: float(episodes[name].mean()) for name in means}
        return {"work_ratio": ratio} | {n: mean for n, mean in found.items() if not np.isnan(mean)}

    def draw_case_parameters(self, keys: Keys) -> dict[str, Floats]:
        """``epsilon`` and ``theta`` [N] of episodes of keys [N]; empty where matrices have none."""
        if self.matrix is not None:
            return {}
        each = [
            instances.parameters(
                self.params.law, counter_rng.fold(self._get_matrix_key(keys[b : b + 1]), 1)
            )
            for b in range(len(keys))
        ]
        return {name: np.array([own[name] for own in each]) for name in each[0]}

    def trace_episode(self, states: Sequence[State], actions: Sequence[Array]) -> EpisodeTrace:
        """A few nodes of the graph, with the edges chosen among them."""
        del actions
        return record.trace_episode(self, states)

    def evaluate_competitors(self, keys: Keys) -> dict[str, dict[str, Floats]]:
        """Episode metrics [N] of solvers that learn nothing, by name, on the matrices of keys."""
        return baselines.evaluate_competitors(self, keys)

    def _get_matrix_key(self, key: Keys) -> Keys:
        """The key [1] that episodes on the same matrix share."""
        if self.matrix is not None:
            return counter_rng.make_keys_from_seeds(np.zeros(1, np.uint64))
        if self.params.instances:
            return counter_rng.make_keys_from_seeds(
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
        seen: list[Any] = []
        for b in range(len(state.keys)):
            instance, kept, scores = self.unpad_copy(state, b)
            seen.append(self._observe_copy(instance.graph, kept, scores, int(state.step[b])))
        if self.params.observation == "summary":
            return np.stack(seen)
        return {name: np.stack([part[name] for part in seen]) for name in seen[0]}

    def _observe_copy(self, edge_graph: graph.Graph, kept: Bools, scores: Floats, step: int) -> Any:
        """What is observed of one copy after so many steps."""
        progress = np.float32(step / self.objective.steps)
        summed = np.clip(np.append(graph.summary(scores, edge_graph), progress), -10, 10)
        if self.params.observation == "summary":
            return summed
        return graph.padded(edge_graph, scores, kept, self.nodes, self.edges) | {"summary": summed}

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
            for own, result in zip(info["row_reward"], results, strict=True):
                if result.row_rewards is not None:
                    own[: len(result.row_rewards)] = result.row_rewards
        return info

    def _validate_action(self, action: Array, copies: int) -> Array:
        """An action [B, ...] of the space's shape, without NaN."""
        found, shape = np.asarray(action), self.action_space.shape or ()
        if found.shape != (copies, *shape):
            raise InputError(
                f"An action of {copies} copies has the shape {(copies, *shape)}, but this one has "
                f"{found.shape}."
            )
        if not np.isfinite(found).all():
            raise InputError("The action must be finite, but it has NaN or infinite numbers.")
        return found.astype(np.float64 if self.params.action == "latent" else np.int64)


def _objective(params: Params) -> Objective:
    if params.objective == "multigrid":
        return Multigrid(params.k, params.builder, params.reward)
    return Fsai(params.k) if params.objective == "fsai" else Sparsifier(params.steps)
