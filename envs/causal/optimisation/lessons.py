"""Sources of problems for CausalOptimisation: families of models, a curriculum, one model.

All problems of a world have the same number of nodes and of inputs to a node; smaller models are
padded, so that episodes of different families fit in one batch.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np

from envs.causal.models import families
from envs.causal.models.families import Drawn
from envs.causal.models.scm import AdditiveScm, Model
from envs.causal.optimisation.problem import (
    FINE_GRID,
    GRID,
    SCREENING,
    Problem,
    find_ancestors,
    noise_rows,
    solve_problem,
)
from envs.contract import counter_rng
from envs.contract.pytree import Array, Bools, Floats, Keys, put, take
from rungwise.validation import InputError


@dataclasses.dataclass(frozen=True)
class Lesson:
    """Families of models of certain sizes, all equally likely."""

    name: str
    """Its content in a few words."""
    families: tuple[str, ...]
    """The families."""
    smallest: int
    """The fewest nodes of a model, hidden ones aside."""
    largest: int
    """The most."""


CURRICULUM = {
    Lesson("chains and forks of 3 or 4 nodes", ("linear_chain", "linear_fork"), 3, 4): 0.8,
    Lesson("5 to 7 nodes", ("linear_random", "linear_scale_free"), 5, 7): 0.85,
    Lesson("8 to 10 nodes, half of them hard", ("linear_erdos_renyi", "hard"), 8, 10): 0.85,
}
"""The lessons of the post-mortem's curriculum and the score at which each is over."""


class Sampled(Protocol):
    """Models of B copies from which rows can be drawn."""

    def sample(self, noise: Floats, chosen: Bools, values: Floats) -> Floats:
        """See :meth:`envs.causal.models.scm.Scm.sample`."""
        ...


class ProblemSource(ABC):
    """A source of problems."""

    names: tuple[str, ...]
    """The names of the n visible nodes."""
    nodes: int
    """The number of nodes N, hidden ones included."""
    noise: Floats
    """[rows, N]: the noise that expectations are means over."""

    @abstractmethod
    def draw(self, keys: Keys, stage: int) -> Problem:
        """Draw problems of a stage of the curriculum for keys [B]."""

    def get_scm(self, problem: Problem) -> Sampled:
        """Return the models of problems."""
        return problem.scm

    def get_node_names(self, problem: Problem) -> tuple[str, ...]:
        """Return the names of the n nodes of a single problem [1]."""
        return self.names


class OneModel(ProblemSource):
    """The same problem in each episode."""

    def __init__(self, model: Model, precision: int, noise: Floats | None = None) -> None:
        self.model, self.nodes = model, model.scm.nodes
        self.names = model.names[: self.nodes - model.hidden]
        if model.target not in self.names:
            raise InputError(
                "CausalOptimisation drives a target down, but the model names none of its nodes "
                f"({', '.join(self.names)}) as its target: add one, or choose it with the "
                f"environment's argument target, such as {self.names[-1]}."
            )
        target = np.array([self.names.index(model.target)])
        visible = np.arange(len(self.names))
        allowed = np.array([model.settable[: len(visible)]]) & (visible != target)
        if not allowed.any():
            raise InputError(
                f"No node of the model but {model.target} may be set: give one a domain."
            )
        # A constant target would have no optimum to be scaled by.
        if not (allowed & find_ancestors(model.scm.parents)[0, target, : len(visible)]).any():
            raise InputError(
                f"Nothing that may be set has an effect on the target {model.target}: choose a "
                "target further down the graph."
            )
        self.noise = noise_rows(precision, self.nodes) if noise is None else noise
        # Solved once for all episodes, so on all rows: few rows say little about discrete nodes.
        problem = solve_problem(model.scm, target, allowed, self.noise, FINE_GRID, precision)
        if not (problem.base > problem.optimum).any() and not problem.spread.any():
            raise InputError(
                f"Nothing lowers the target {model.target}, and it never varies, so that there is "
                "no unit to measure it in: choose another target, or give nodes noise."
            )
        # Without the model: it is shared, and a state of B copies must not carry B of it.
        self.problem = dataclasses.replace(problem, scm=())

    def draw(self, keys: Keys, stage: int) -> Problem:
        """See :class:`ProblemSource`."""
        return take(self.problem, np.zeros(len(keys), np.int64))

    def get_scm(self, problem: Problem) -> Sampled:
        """See :class:`ProblemSource`."""
        return self.model.scm


class Lessons(ProblemSource):
    """A new problem in each episode, of one lesson after another."""

    def __init__(
        self, lessons: tuple[Lesson, ...], precision: int, least: int = 0, least_hidden: int = 0
    ) -> None:
        """Prepare problems with at least ``least`` visible and ``least_hidden`` hidden nodes."""
        self.lessons = lessons
        self.hidden = {
            family: families.hidden_nodes(family, lesson.largest)
            for lesson in lessons
            for family in lesson.families
        }
        num_visible = max(least, *(lesson.largest for lesson in lessons))
        self.names = tuple(f"X{i + 1}" for i in range(num_visible))
        self.nodes = num_visible + max(least_hidden, *self.hidden.values())
        key = counter_rng.make_keys(0, 1)
        # The width of the inputs is a fixed property of a family and size, so one draw shows it.
        self.inputs = max(
            families.draw_family(family, key, lesson.smallest, lesson.largest).scm.inputs.shape[2]
            for lesson in lessons
            for family in lesson.families
        )
        self.noise = noise_rows(precision, self.nodes)

    def draw(self, keys: Keys, stage: int) -> Problem:
        """See :class:`ProblemSource`."""
        lesson = self.lessons[stage]
        for_kind, for_model = counter_rng.split(keys, 2)
        kind = counter_rng.integers(for_kind, len(lesson.families))
        # The first family is drawn for all copies and the others replace their share: draws are by
        # key, so a copy's model does not depend on the rest.
        problem = self._draw_family(lesson, 0, for_model)
        for number in range(1, len(lesson.families)):
            if (is_kind := kind == number).any():
                problem = put(
                    problem, is_kind, self._draw_family(lesson, number, for_model[is_kind])
                )
        return problem

    def _draw_family(self, lesson: Lesson, number: int, keys: Keys) -> Problem:
        family = lesson.families[number]
        models = families.draw_family(family, keys, lesson.smallest, lesson.largest)
        padded = pad_models(models, self.hidden[family], self.nodes, self.inputs)
        visible = np.arange(len(self.names))
        allowed = padded.scm.real[:, : len(visible)] & (visible != padded.target[:, None])
        return solve_problem(padded.scm, padded.target, allowed, self.noise, GRID, SCREENING)


def pad_models(drawn: Drawn, hidden: int, nodes: int, inputs: int) -> Drawn:
    """Pad models to ``nodes`` nodes and ``inputs`` inputs; their hidden nodes stay last.

    A filler has no inputs and no noise: it is 0 and moves nothing.
    """
    scm = drawn.scm
    B, n, p = scm.inputs.shape
    if (n, p) == (nodes, inputs):
        return drawn
    index = np.concatenate([np.arange(n - hidden), np.arange(nodes - hidden, nodes)])

    def spread(x: Array) -> Array:
        """Return a field [B, n, ...] or [B, n, p, ...] with every node at its new index."""
        wide = np.zeros((B, nodes, *((inputs,) if x.ndim > 2 else ()), *x.shape[3:]), x.dtype)
        wide[(slice(None), index, *((slice(p),) if x.ndim > 2 else ()))] = x
        return wide

    fields = {field.name: spread(getattr(scm, field.name)) for field in dataclasses.fields(scm)}
    # Node numbers change, so the entries are renamed as well as moved.
    fields["inputs"] = spread(index[scm.inputs])
    fillers = np.setdiff1d(np.arange(nodes), index)
    fields["order"] = np.concatenate([index[scm.order], np.tile(fillers, (B, 1))], axis=1)
    return Drawn(AdditiveScm(**fields), drawn.target)
