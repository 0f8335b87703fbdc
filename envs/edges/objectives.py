"""The three objectives as one small protocol over a single instance.

An instance is a pure function of a matrix and a key. Solvers work on one matrix at a time, so an
objective is about one copy; the world calls it for each of its B.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod

import numpy as np

from envs.contract import counter_rng
from envs.contract.pytree import Bools, Floats, Ints, Keys
from envs.edges import fsai, instances, multigrid, selection, sparsifier
from envs.edges.graph import Graph, offdiagonal
from envs.edges.instances import Family, Matrix
from envs.edges.krylov import EARLY, MOST, TOLERANCE, quality

_DIGITS = -np.log10(TOLERANCE)


@dataclasses.dataclass(frozen=True)
class Result:
    """The evaluation of a set of edges on one instance."""

    reward: float
    """The reward of the step."""
    level: float
    """The quality from which the next step's improvement counts."""
    iterations: float
    """Iterations of conjugate gradients to 1e-8; predicted from 5 if the system was not solved."""
    work: float
    """Products with A for each decimal digit of the residual."""
    complexity: float
    """Stored entries, A included, over those of A."""
    row_rewards: Floats | None = None
    """[N]: each row's share, where the reward is a mean over rows."""


@dataclasses.dataclass(frozen=True)
class Instance:
    """One matrix with everything that does not depend on the choice of edges."""

    key: Keys
    """[1]: its random numbers."""
    graph: Graph
    """Its edges with their scores at the start."""
    kept: Bools
    """[E]: edges chosen from the start."""
    sides: Floats
    """[3, N]: the right-hand sides solved for."""
    start: Result
    """The kept edges alone (the reference, where there are none)."""
    reference: Result
    """The result of the objective's reference choice."""


class EdgeObjective(ABC):
    """The purpose of the chosen edges."""

    latent: int
    """Length of a latent action."""
    score_names: tuple[str, str, str, str]
    """Names of the four scores."""
    steps: int = 1
    """Steps of an episode."""

    @abstractmethod
    def start(self, matrix: Matrix, key: Keys) -> tuple[Graph, Bools]:
        """Return the scored edges of a matrix and its key [1], and which [E] are kept already."""

    @abstractmethod
    def capacity(self, family: Family, size: int) -> int:
        """Return the largest number of edges of graphs of a family's matrices."""

    @abstractmethod
    def decisions(self, nodes: int) -> tuple[int, int]:
        """Return the number of decisions of an ``edges`` action, and of edges picked by each."""

    @abstractmethod
    def instance(self, matrix: Matrix, key: Keys, solve: bool) -> Instance:
        """Return the instance of a matrix and its key [1]."""

    @abstractmethod
    def choose_edges(self, graph: Graph, kept: Bools, scores: Floats, latent: Floats) -> Bools:
        """Return the edges [E] that a latent action chooses, from kept ones and scores [E, 4]."""

    @abstractmethod
    def build(self, graph: Graph, kept: Bools) -> object:
        """Build what kept edges [E] are for, as a user would; only its time matters."""

    @abstractmethod
    def evaluate(self, instance: Instance, kept: Bools, level: float, solve: bool) -> Result:
        """Evaluate kept edges [E]; with ``solve`` the system is solved to the end."""

    def scores(self, graph: Graph, kept: Bools) -> Floats:
        """Return the scores [E, 4] once edges [E] are kept."""
        return graph.scores


class Multigrid(EdgeObjective):
    """The strength of connection of a hierarchy; see :mod:`envs.edges.multigrid`."""

    latent = 5
    score_names = ("size", "sign", "evolution", "affinity")

    def __init__(self, k: int, builder: multigrid.Builder, reward: multigrid.Reward) -> None:
        self.k, self.reward = k, reward
        self.builder: multigrid.Builder = builder

    def start(self, matrix: Matrix, key: Keys) -> tuple[Graph, Bools]:
        """Return all off-diagonal entries, none of them kept."""
        graph = offdiagonal(matrix, counter_rng.fold(key, 1))
        return graph, np.zeros(len(graph.rows), np.bool_)

    def capacity(self, family: Family, size: int) -> int:
        """Return the number of off-diagonal entries."""
        return instances.capacity(family, size)[1]

    def decisions(self, nodes: int) -> tuple[int, int]:
        """Return one decision per node, of k edges."""
        return nodes, self.k

    def instance(self, matrix: Matrix, key: Keys, solve: bool) -> Instance:
        """Make the instance with PyAMG's default as the reference."""
        graph, nothing = self.start(matrix, key)
        sides = multigrid.right_hand_sides(matrix.shape[0], counter_rng.fold(key, 2))
        # Always smoothed aggregation, whatever builder the task uses: rewards of both builders then
        # share one scale.
        made = multigrid.build_hierarchy(matrix, "smoothed_aggregation", "symmetric")
        measured, work = multigrid.measure_hierarchy(matrix, made, sides, solve)
        score = multigrid.work_score(measured, made)
        usual = Result(0.0, score, measured.iterations, work, made.operator_complexity)
        return Instance(key, graph, nothing, sides, usual, usual)

    def choose_edges(self, graph: Graph, kept: Bools, scores: Floats, latent: Floats) -> Bools:
        """Choose the edges whose weighted scores reach the threshold."""
        return selection.strong(scores, latent)

    def build(self, graph: Graph, kept: Bools) -> object:
        """Build a hierarchy."""
        return multigrid.try_build_hierarchy(
            graph.matrix, self.builder, multigrid.make_pattern(graph, kept)
        )

    def evaluate(self, instance: Instance, kept: Bools, level: float, solve: bool) -> Result:
        """Compare a hierarchy's work with the reference's."""
        A = instance.graph.matrix
        made = multigrid.try_build_hierarchy(
            A, self.builder, multigrid.make_pattern(instance.graph, kept)
        )
        if made is None:
            return self._make_failed_result(instance)
        measured, work = multigrid.measure_hierarchy(A, made, instance.sides, solve)
        score = multigrid.work_score(measured, made)
        if not np.isfinite(score):
            return self._make_failed_result(instance)
        if self.reward == "work":
            reward = multigrid.work_reward(score, instance.reference.level)
        # Fixed random vectors per instance, so that equal choices get equal rewards.
        elif self.reward == "vcycle_energy":
            reward = multigrid.energy_reward(A, made, counter_rng.fold(instance.key, 3))
        else:
            reward = multigrid.residual_reward(measured, made)
        return Result(reward, score, measured.iterations, work, made.operator_complexity)

    def _make_failed_result(self, instance: Instance) -> Result:
        # Each reward keeps the failure value of its own scale.
        worst = -multigrid.CLIP if self.reward == "work" else multigrid.ORIGINAL_FAILURE
        return Result(worst, 0.0, MOST, MOST / _DIGITS, 1.0)


class Fsai(EdgeObjective):
    """The pattern of an approximate inverse; see :mod:`envs.edges.fsai`."""

    latent = 4
    score_names = ("size", "sign", "paths", "affinity")

    def __init__(self, k: int) -> None:
        self.k = k

    def start(self, matrix: Matrix, key: Keys) -> tuple[Graph, Bools]:
        """Return what each row's two steps reach below the diagonal, none of it kept."""
        graph = fsai.candidates(matrix, counter_rng.fold(key, 1))
        return graph, np.zeros(len(graph.rows), np.bool_)

    def capacity(self, family: Family, size: int) -> int:
        """Return the number of node pairs that two steps join."""
        return instances.pairs_within_two(family, size)

    def decisions(self, nodes: int) -> tuple[int, int]:
        """Return one decision per row, of k entries."""
        return nodes, self.k

    def instance(self, matrix: Matrix, key: Keys, solve: bool) -> Instance:
        """Make the instance with the k largest entries of each row as the reference."""
        graph, nothing = self.start(matrix, key)
        sides = multigrid.right_hand_sides(matrix.shape[0], counter_rng.fold(key, 2))
        largest = selection.strongest(np.abs(graph.values), graph.starts, self.k)
        usual = self._result(graph, sides, largest, solve)
        return Instance(key, graph, nothing, sides, usual, usual)

    def choose_edges(self, graph: Graph, kept: Bools, scores: Floats, latent: Floats) -> Bools:
        """Choose the k edges of the highest weighted score in each row."""
        return selection.strongest(scores @ selection.weights(latent), graph.starts, self.k)

    def build(self, graph: Graph, kept: Bools) -> object:
        """Build the approximate inverse."""
        return fsai.preconditioner(graph, kept)

    def evaluate(self, instance: Instance, kept: Bools, level: float, solve: bool) -> Result:
        """Evaluate by Kaporin's measure."""
        return self._result(instance.graph, instance.sides, kept, solve)

    def _result(self, graph: Graph, sides: Floats, kept: Bools, solve: bool) -> Result:
        rewards = fsai.row_rewards(graph, kept)
        measured = quality(graph.matrix, sides, fsai.preconditioner(graph, kept), solve)
        # G and its transpose.
        share = 2 * (int(kept.sum()) + len(rewards)) / graph.matrix.nnz
        work = measured.iterations / _DIGITS * (1 + share)
        earned = float(rewards.mean())
        return Result(earned, earned, measured.iterations, work, 1 + share, rewards)


class Sparsifier(EdgeObjective):
    """Edges to add to a tree, a batch a step; see :mod:`envs.edges.sparsifier`."""

    latent = 5
    score_names = ("weight", "stretch", "trace", "rival")

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def start(self, matrix: Matrix, key: Keys) -> tuple[Graph, Bools]:
        """Return the undirected edges, those of the heaviest spanning tree kept."""
        graph = sparsifier.candidates(matrix, counter_rng.fold(key, 1))
        tree = sparsifier.spanning_tree(graph)
        return dataclasses.replace(graph, scores=sparsifier.Factor(graph, tree).scores()), tree

    def capacity(self, family: Family, size: int) -> int:
        """Return half the number of off-diagonal entries."""
        return instances.capacity(family, size)[1] // 2

    def decisions(self, nodes: int) -> tuple[int, int]:
        """Return one decision, of a batch out of all edges."""
        return 1, sparsifier.batch(nodes, self.steps)

    def instance(self, matrix: Matrix, key: Keys, solve: bool) -> Instance:
        """Make the instance with the edges of the highest stretch as the reference."""
        graph, tree = self.start(matrix, key)
        sides = multigrid.right_hand_sides(matrix.shape[0], counter_rng.fold(key, 2))
        # The reference spends the whole budget at once, by the stretch of the tree alone.
        budget = self.steps * self.decisions(matrix.shape[0])[1]
        usual = tree | selection.strongest(graph.scores[:, 1], graph.starts, budget, ~tree)
        results = [self._result(graph, sides, kept, 0.0, solve) for kept in (tree, usual)]
        return Instance(key, graph, tree, sides, *results)

    def choose_edges(self, graph: Graph, kept: Bools, scores: Floats, latent: Floats) -> Bools:
        """Choose a batch by weighted score whose edges do not overlap too much."""
        # Sketched anew in every step: edges added before change the overlaps of the others.
        sketch = sparsifier.Factor(graph, kept).sketch()
        k, limit = self.decisions(graph.matrix.shape[0])[1], selection.spacing(latent)
        return sparsifier.spread(scores @ selection.weights(latent), sketch, k, limit, ~kept)

    def evaluate(self, instance: Instance, kept: Bools, level: float, solve: bool) -> Result:
        """Evaluate by the change of ln(|r_0| / |r_5|)."""
        return self._result(instance.graph, instance.sides, kept, level, solve)

    def scores(self, graph: Graph, kept: Bools) -> Floats:
        """Return the scores over all kept edges."""
        return sparsifier.Factor(graph, kept).scores()

    def build(self, graph: Graph, kept: Bools) -> object:
        """Build the factors."""
        return sparsifier.Factor(graph, kept)

    def _result(
        self, graph: Graph, sides: Floats, kept: Bools, level: float, solve: bool
    ) -> Result:
        factor = sparsifier.Factor(graph, kept)
        measured = quality(graph.matrix, sides, factor.preconditioner(), solve)
        # The log residual reduction after five iterations; rewards are differences of it, so they
        # sum to the gain of the episode.
        now = measured.reduction * EARLY
        share = factor.entries / graph.matrix.nnz
        work = measured.iterations / _DIGITS * (1 + share)
        return Result(now - level, now, measured.iterations, work, 1 + share)


def select_picked_edges(picks: Ints, graph: Graph, kept: Bools) -> Bools:
    """Return the edges [E] that picks [R, k] of an ``edges`` action choose."""
    return selection.select_picks(picks, graph.starts, ~kept)
