"""Structural causal models whose mechanisms are written as expressions in the parents' names.

An expression is parsed into functions of arrays by a list of what is allowed; nothing of it is ever
run as Python, so that a model from a stranger's file can do no harm.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from envs.causal.models.scm import FUNCTIONS, Model, Scm, evaluation_order
from envs.contract import counter_rng
from envs.contract.pytree import Bools, Floats, Ints
from rungwise.validation import InputError, unknown_name_error

Formula: TypeAlias = Callable[[Floats], Any]
"""Values [...] of a node from those of all nodes [..., n]."""

# Operators that are not listed are refused, and attributes, subscripts and lambdas have no case in
# the reader, so an expression cannot reach Python objects.
_OPERATORS: dict[type[ast.AST], Callable[..., Floats]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
_CALLS: dict[str, tuple[int, Callable[..., Floats]]] = {
    "exp": (1, np.exp),
    "log": (1, np.log),
    "sqrt": (1, np.sqrt),
    "sin": (1, np.sin),
    "cos": (1, np.cos),
    "tan": (1, np.tan),
    "tanh": (1, np.tanh),
    "sigmoid": (1, FUNCTIONS["sigmoid"]),
    "abs": (1, np.abs),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
    "clip": (3, np.clip),
    "where": (3, lambda condition, yes, no: np.where(condition != 0, yes, no)),
}
"""The functions that an expression may use, with their numbers of arguments."""
_ALLOWED = f"numbers, the parents' names, + - * / ** < <= > >= and {', '.join(_CALLS)}"


@dataclasses.dataclass(frozen=True)
class NodeNoise:
    """The noise of a mechanism, which is all of a root; normal unless it has quantiles."""

    std: float = 0.0
    """Standard deviation."""
    mean: float = 0.0
    """Mean."""
    quantiles: tuple[float, ...] = ()
    """Quantiles of a distribution that is not normal, relative to the mean, 0th to 100th."""

    @staticmethod
    def uniform(low: float, high: float) -> NodeNoise:
        """Return noise that is uniform between two values."""
        half = (high - low) / 2
        return NodeNoise(half / 3**0.5, (low + high) / 2, (-half, half))


@dataclasses.dataclass(frozen=True)
class ExpressionScm(Scm):
    """A model (C = 1) in which every node has its own formula plus noise."""

    formulas: tuple[Formula, ...]
    """The noiseless mechanisms of the nodes, the means of their noise included."""
    reads: Bools
    """[n, n]: row j marks the parents of node j."""
    quantiles: tuple[tuple[float, ...], ...]
    """The quantiles of each node's noise, if it is not normal; see :class:`NodeNoise`."""

    @property
    def parents(self) -> Bools:
        """See :class:`Scm`."""
        return self.reads[None]

    def mechanism(self, node: Ints, x: Floats) -> Floats:
        """See :class:`Scm`."""
        with np.errstate(all="ignore"):  # what is not a number is refused when the model is made
            return np.broadcast_to(self.formulas[node[0]](x), x.shape[:2])

    def compute_natural_values(self, node: Ints, x: Floats, noise: Floats) -> Floats:
        """See :class:`Scm`."""
        if not (quantiles := self.quantiles[node[0]]):
            return super().compute_natural_values(node, x, noise)
        shares = np.linspace(0, 1, len(quantiles))
        return self.mechanism(node, x) + np.interp(normal_cdf(noise), shares, quantiles)


def from_expressions(
    expressions: Mapping[str, str],
    noise: Mapping[str, float | NodeNoise],
    domains: Mapping[str, tuple[float, float]],
    target: str = "",
    hidden: Sequence[str] = (),
) -> Model:
    """Make a model from the expressions of its nodes; those with a domain may be set.

    Args:
        expressions: for each node its expression; an empty one is 0.
        noise: of the nodes that have any; a number is a standard deviation.
        domains: what nodes may be set to.
        target: the node to be driven down, if there is one.
        hidden: the nodes that are not seen.
    """
    # Hidden nodes go last, the order that every model here relies on.
    names = [*(name for name in expressions if name not in hidden), *hidden]
    formulas = {name: parse_expression(expressions[name] or "0", name, names) for name in names}
    noises = {n: NodeNoise(v) if isinstance(v, float | int) else v for n, v in noise.items()}
    return assemble_model(formulas, noises, domains, target, len(hidden))


def assemble_model(
    formulas: Mapping[str, tuple[Formula, set[str]]],
    noise: Mapping[str, NodeNoise],
    domains: Mapping[str, tuple[float, float]],
    target: str,
    hidden: int,
) -> Model:
    """Assemble a model from its nodes' formulas and parents, hidden nodes last.

    Nodes that may not be set get the range of their natural values for a domain, as a scale.
    """
    names = tuple(formulas)
    reads = np.array([[name in parents for name in names] for _, parents in formulas.values()])
    # A node without noise is legal: it is a function of its parents.
    noises = [noise.get(name, NodeNoise()) for name in names]
    settable = tuple(name in domains and name != target for name in names)
    bounds = np.array([domains.get(name, (0.0, 0.0)) for name in names])
    scm = ExpressionScm(
        formulas=tuple(
            _shift(formula, node_noise.mean)
            for (formula, _), node_noise in zip(formulas.values(), noises, strict=True)
        ),
        reads=reads,
        quantiles=tuple(node_noise.quantiles for node_noise in noises),
        order=evaluation_order(reads, names)[None],
        noise=np.array([[node_noise.std for node_noise in noises]]),
        low=bounds[None, :, 0],
        high=bounds[None, :, 1],
        real=np.ones((1, len(names)), np.bool_),
    )
    # Tried once at load time, so that a division by zero is reported with its node and not as NaN
    # in training.
    rows = _try_model(scm, names, settable)
    fixed = np.array([name not in domains for name in names])
    scm = dataclasses.replace(
        scm,
        # Nodes that may not be set still need a domain: observations are scaled by it.
        low=np.where(fixed, rows.min(axis=0), scm.low),
        high=np.where(fixed, rows.max(axis=0), scm.high),
    )
    return Model(names, scm, settable, hidden, target)


def parse_expression(text: str, node: str, names: Iterable[str]) -> tuple[Formula, set[str]]:
    """Parse the expression of a node into a formula and the names that it reads.

    Raises:
        InputError: naming the node, what is wrong in its expression and what may be there instead.
    """
    reader = _Reader(text, node, tuple(names))
    try:
        formula = reader.formula(ast.parse(text.strip(), mode="eval").body)
    # ast.parse raises each of these for hostile or absurd input, such as deep nesting.
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"The expression of {node}, {text!r}, cannot be read ({error}): use {_ALLOWED}."
        ) from None
    return formula, reader.read


def normal_cdf(z: Floats) -> Floats:
    """Return the standard normal distribution function of z, any shape, to 1e-7.

    Abramowitz and Stegun (1964), formula 26.2.17.
    """
    # In double precision: float32 would lose the tail, where 1 - above is close to 1.
    t = 1 / (1 + 0.2316419 * np.abs(z).astype(np.float64))
    series = np.polyval([1.330274429, -1.821255978, 1.781477937, -0.356563782, 0.319381530, 0], t)
    above = series * np.exp(-0.5 * np.square(z)) / np.sqrt(2 * np.pi)
    return np.where(z > 0, 1 - above, above)


class _Reader:
    """Turns the syntax tree of one expression into a formula."""

    def __init__(self, text: str, node: str, names: tuple[str, ...]) -> None:
        self.text, self.node, self.names = text, node, names
        self.read = set[str]()

    def formula(self, part: ast.expr) -> Formula:
        """Return the formula of a part of the expression."""
        match part:
            # bool is a subclass of int in Python and would otherwise pass as the number 1.
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                number = float(value)
                return lambda x: number
            case ast.Name(id=name):
                return self._value(name)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return _apply(_OPERATORS[type(op)], [self.formula(operand)])
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _apply(_OPERATORS[type(op)], [self.formula(left), self.formula(right)])
            # Exactly one comparison: numpy has no chained form, and a < b < c would need a short
            # circuit.
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return _apply(_OPERATORS[type(op)], [self.formula(left), self.formula(right)])
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(name, args)
            case _:
                source = ast.get_source_segment(self.text.strip(), part) or self.text
                raise InputError(
                    f"The expression of {self.node}, {self.text!r}, contains {source!r}, which may "
                    f"not be there: use {_ALLOWED}."
                )

    def _value(self, name: str) -> Formula:
        # A node that reads itself is refused here, where the message can show the expression.
        if name == self.node or name not in self.names:
            others = [other for other in self.names if other != self.node]
            raise unknown_name_error(
                "node", name, others, f"for {self.node}'s expression {self.text!r}"
            )
        self.read.add(name)
        index = self.names.index(name)
        return lambda x: x[..., index]

    def _call(self, name: str, args: list[ast.expr]) -> Formula:
        where = f"for {self.node}'s expression {self.text!r}"
        if name not in _CALLS:
            raise unknown_name_error("function", name, _CALLS, where)
        count, function = _CALLS[name]
        if len(args) != count:
            raise InputError(
                f"The function {name} takes {count} arguments, but it has {len(args)} in "
                f"{self.node}'s expression {self.text!r}: write {count}."
            )
        return _apply(function, [self.formula(arg) for arg in args])


def _apply(function: Callable[..., Floats], parts: list[Formula]) -> Formula:
    # Separate closures for one and two operands: these calls run for every row of every step, and
    # unpacking a generator is slower.
    if len(parts) == 1:
        (only,) = parts
        return lambda x: function(only(x))
    if len(parts) == 2:
        left, right = parts
        return lambda x: function(left(x), right(x))
    return lambda x: function(*(part(x) for part in parts))


def _shift(formula: Formula, by: float) -> Formula:
    return (lambda x: formula(x) + by) if by else formula


def _try_model(scm: ExpressionScm, names: Sequence[str], settable: Sequence[bool]) -> Floats:
    """Return natural rows [512, n], after a test of the settable nodes all over their domains.

    Raises:
        InputError: for a node whose value is no finite number somewhere.
    """
    n = scm.nodes
    for_noise, for_nodes, for_values = counter_rng.split(counter_rng.make_keys(0, 512), 3)
    # One row for each of 512 keys: the batch axis serves as the sample axis.
    noise = counter_rng.normal(for_noise, (1, n)).astype(np.float64)
    values = scm.low + counter_rng.uniform(for_values, (n,)) * (scm.high - scm.low)
    # Half of the settable nodes at random, so that combinations of settings are tried, too.
    chosen = (counter_rng.uniform(for_nodes, (n,)) < 0.5) & np.array(settable)
    nothing = np.zeros_like(chosen)
    natural = scm.sample(noise, nothing, values)
    for x in (natural, scm.sample(noise, chosen, values)):
        wrong = ~np.isfinite(x[:, 0])
        if wrong.any():
            # The first such node in the order of evaluation: others may have it from there.
            node = next(j for j in scm.order[0].tolist() if wrong[:, j].any())
            row = x[int(wrong[:, node].argmax()), 0]
            parents = np.flatnonzero(scm.reads[node]).tolist()
            where = " and ".join(f"{names[i]} is {row[i]:.3g}" for i in parents)
            raise InputError(
                f"The value of {names[node]} is {row[node]:g}{where and f' where {where}'}: keep "
                "its expression and noise to finite numbers, for example with max, min or clip."
            )
    return natural[:, 0]
