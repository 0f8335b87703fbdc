"""Parameters of EdgeSelection."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from envs.edges import instances
from envs.edges.multigrid import Builder, Reward
from rungwise.validation import AtLeastOne, Between, InputError, NonNegative, Positive, validate


@dataclasses.dataclass(frozen=True)
class Params:
    """The task."""

    objective: Literal["multigrid", "fsai", "sparsifier"] = "multigrid"
    """The use of the edges: a multigrid hierarchy, an approximate inverse, a sparsifier."""
    action: Literal["latent", "edges"] = "latent"
    """Weights of edge scores and a threshold, independent of size, or the picks themselves."""
    observation: Literal["summary", "graph"] = "summary"
    """31 numbers that summarise the graph, or its nodes and edges as well."""
    family: instances.Family | None = None
    """The distribution of matrices; None: weighted_grid for a sparsifier, else anisotropic."""
    size: Annotated[int, Between(4, 512)] = 32
    """Side of the grid: matrices have size x size nodes (the gallery has sizes of its own)."""
    sizes: tuple[int, ...] = ()
    """Smaller sides of a curriculum that come before `size`, each until `mastered` is reached."""
    epsilons: tuple[float, ...] = ()
    """Smallest anisotropies eps of a curriculum (1 is none) that come before the family's own,
    0.001, each until `mastered` is reached."""
    mastered: Annotated[float, Positive] = 0.8
    """The mean work ratio at which a curriculum advances to the next size or anisotropy."""
    matrix: str = ""
    """Path of a matrix (.mtx, .mtx.gz, .npz) to use instead of a family's."""
    k: Annotated[int, AtLeastOne] = 3
    """Edges for each node (fsai, and multigrid with action='edges')."""
    steps: Annotated[int, AtLeastOne] = 8
    """Number of batches in which a sparsifier's edges are added."""
    builder: Builder = "smoothed_aggregation"
    """The PyAMG hierarchy to build (multigrid)."""
    reward: Reward = "work"
    """The reward (multigrid): the work relative to PyAMG's default, or the original's rewards."""
    instances: Annotated[int, NonNegative] = 0
    """Number of different matrices, for cheaper training; 0: every episode draws its own.

    Evaluate with 0: otherwise the matrices are those of the training."""
    solve: bool = True
    """Whether to solve systems to the end; False predicts iterations from the first five."""

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
        if self.epsilons:
            self._check_epsilons()
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

    def _check_epsilons(self) -> None:
        low, high = instances.SMALLEST_EPSILON, instances.LARGEST_EPSILON
        if any(not low < epsilon < high for epsilon in self.epsilons):
            raise InputError(
                f"epsilons must lie between {low}, which comes last, and {high}, but they are "
                f"{list(self.epsilons)}."
            )
        if self.sizes:
            raise InputError(
                f"sizes={list(self.sizes)} and epsilons={list(self.epsilons)} exclude each other: "
                "leave out one of the curricula."
            )
        if self.matrix or self.law not in instances.ANISOTROPIC:
            what = f"matrix={self.matrix!r}" if self.matrix else f"family={self.law!r}"
            raise InputError(
                f"epsilons={list(self.epsilons)} mean nothing with {what}: leave them out, or take "
                f"one of {', '.join(instances.ANISOTROPIC)}."
            )

    @property
    def law(self) -> instances.Family:
        """The family, with the default of the objective filled in."""
        return self.family or ("weighted_grid" if self.objective == "sparsifier" else "anisotropic")
