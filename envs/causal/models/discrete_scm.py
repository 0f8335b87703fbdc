"""Bayesian networks of discrete variables, as structural causal models.

A state is its number in the file, from 0. What a node is given its parents comes from its standard
normal noise through the cumulative probabilities, so that the same noise under another intervention
answers "what would have been"; a value that a node is set to means the nearest state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from envs.causal.models.expressions import normal_cdf
from envs.causal.models.scm import Model, Scm, evaluation_order
from envs.contract.pytree import Bools, Floats, Ints
from rungwise.optional_imports import import_extra
from rungwise.validation import InputError


@dataclasses.dataclass(frozen=True)
class Table:
    """How likely the states of one node are."""

    parents: tuple[int, ...]
    """The parents."""
    sizes: tuple[int, ...]
    """How many states each parent has."""
    probabilities: Floats
    """[rows, states]: a row for each states of the parents, the last parent's varying first."""

    def row(self, x: Floats) -> Ints:
        """Return the row [...] of the probabilities at node values [..., n]."""
        if not self.parents:
            return np.zeros(x.shape[:-1], np.int64)
        # Rows hold floats like those of every other model, so states are rounded back to indices.
        states = np.rint(x[..., list(self.parents)]).astype(np.int64)
        by_parent = tuple(np.moveaxis(states, -1, 0))
        # Clipped: a value that is no state, such as a probe's, reads the row of the nearest one.
        return np.asarray(np.ravel_multi_index(by_parent, self.sizes, mode="clip"), np.int64)


@dataclasses.dataclass(frozen=True)
class DiscreteScm(Scm):
    """A discrete Bayesian network (C = 1), whose noise is on average over a node's parents."""

    tables: tuple[Table, ...]
    """The table of each node."""

    @property
    def parents(self) -> Bools:
        """See :class:`Scm`."""
        nodes = np.arange(self.nodes)
        return np.stack([np.isin(nodes, table.parents) for table in self.tables])[None]

    def mechanism(self, node: Ints, x: Floats) -> Floats:
        """Return the expected state; see :class:`Scm`."""
        table = self.tables[node[0]]
        return (table.probabilities @ np.arange(table.probabilities.shape[1]))[table.row(x)]

    def compute_natural_values(self, node: Ints, x: Floats, noise: Floats) -> Floats:
        """See :class:`Scm`."""
        table = self.tables[node[0]]
        # The last cumulative probability is dropped: it is 1 up to rounding, and a value just below
        # 1 would make a state that does not exist.
        up_to = table.probabilities.cumsum(axis=1)[:, :-1][table.row(x)]
        return (normal_cdf(noise)[..., None] > up_to).sum(axis=-1).astype(noise.dtype)

    def sample(self, noise: Floats, chosen: Bools, values: Floats) -> Floats:
        """See :class:`Scm`."""
        # A setting between two states is moved to the nearest one before children read it.
        return super().sample(noise, chosen, np.clip(np.rint(values), self.low, self.high))

    def domain_value(self, node: Ints, position: Floats) -> Floats:
        """See :class:`Scm`."""
        return np.rint(super().domain_value(node, position))


def from_tables(names: Sequence[str], tables: Sequence[Table]) -> Model:
    """Make a model of discrete nodes, all of which may be set."""
    n = len(names)
    highest = np.array([[table.probabilities.shape[1] - 1.0 for table in tables]])
    parents = np.stack([np.isin(np.arange(n), table.parents) for table in tables])
    scm = DiscreteScm(
        tables=tuple(tables),
        order=evaluation_order(parents, names)[None],
        noise=np.array([[_mean_deviation(table.probabilities) for table in tables]]),
        low=np.zeros((1, n)),
        high=highest,
        real=np.ones((1, n), np.bool_),
    )
    return Model(tuple(names), scm, (True,) * n)


def read_bif(path: Path) -> Model:
    """Read a model from a file in the Bayesian interchange format by pgmpy."""
    reader = import_extra("pgmpy.readwrite", "causal").BIFReader
    try:
        stored = reader(str(path)).get_model()
    except Exception as error:  # pgmpy raises whatever its parser trips over
        raise InputError(f"The file {path} is no network in BIF: {error}") from error
    names: list[str] = [str(name) for name in stored.nodes()]
    tables = list[Table]()
    for name in names:
        cpd = stored.get_cpds(name)
        _, *parents = cpd.variables
        # pgmpy stores the node's own states on the first axis; tables here have them last,
        # [parents' states..., own].
        values = np.moveaxis(np.asarray(cpd.values, np.float64), 0, -1)
        tables.append(
            Table(
                tuple(names.index(parent) for parent in parents),
                values.shape[:-1],
                values.reshape(-1, values.shape[-1]),
            )
        )
    return from_tables(names, tables)


def _mean_deviation(probabilities: Floats) -> float:
    states = np.arange(probabilities.shape[1])
    means = probabilities @ states
    # Clipped at 0: the difference of squares of a nearly certain state can round below it.
    return float(np.sqrt((probabilities @ states**2 - means**2).clip(0)).mean())
