"""Losses differentiated for NumPy: what stands between a small network's outputs and its loss.

For a minibatch of 64 rows autograd takes longer over the fifteen operations of a loss than network,
actions and optimiser take together. Here a loss, which is written for tensors, is called once with
symbols in their place, which record what is computed from them (:class:`Expression`). From the
tape a function of NumPy arrays is written that returns the gradients (reverse accumulation;
Griewank and Walther 2008, chapter 3), and that serves all minibatches of that size.

Expressions know the operations that losses are made of and no other: the rest raises, and
``learning/quick_gradients.py`` leaves such a loss to autograd. So an operation that is missing here
costs time, and changes no gradient.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache, wraps
from inspect import signature
from typing import Any, NamedTuple, NoReturn, TypeAlias, TypeVar

import numpy as np
import torch
from torch.nn.functional import logsigmoid

Array: TypeAlias = np.ndarray[Any, Any]
Operand: TypeAlias = "Expression | Array | float"
"""An expression, an array [N] or a number."""
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Operation(NamedTuple):
    """Source code of an operation: ``{0}``, ``{1}`` ... stand for its operands."""

    value: str
    slopes: tuple[str | None, ...]
    """Gradient by each operand (None: not needed), from that by the result ``{y}``, ``{g}``."""


class Expression:
    """A column of rows ``[N]`` or a scalar that a loss computes with.

    Args:
        tape: what the loss has computed so far.
        name: of the variable on the tape.
        rows: N; None for a scalar.
    """

    __slots__ = ("name", "rows", "tape")
    __array_ufunc__ = None  # an array to the left leaves the operation to the methods below

    def __init__(self, tape: Tape, name: str, rows: int | None) -> None:
        self.tape, self.name, self.rows = tape, name, rows

    def __len__(self) -> int:
        """Return N."""
        if self.rows is None:
            raise TypeError("A scalar has no rows.")
        return self.rows

    @property
    def ndim(self) -> int:
        """1 for rows, 0 for a scalar."""
        return 0 if self.rows is None else 1

    def _apply(self, operation: Operation, *others: Operand) -> Expression:
        """Return what an operation makes of this and others, row by row."""
        return self.tape.add(_count_rows(self, *others), operation, self, *others)

    # Arithmetic.

    def __neg__(self) -> Expression:
        return self._apply(_NEGATE)

    def __add__(self, other: Operand) -> Expression:
        return self._apply(_ADD, other)

    def __sub__(self, other: Operand) -> Expression:
        return self._apply(_SUBTRACT, other)

    def __rsub__(self, other: Operand) -> Expression:
        return -self + other

    def __mul__(self, other: Operand) -> Expression:
        return self._apply(_MULTIPLY, other)

    def __truediv__(self, other: Operand) -> Expression:
        return self._apply(_DIVIDE, other)

    def __rtruediv__(self, other: Operand) -> Expression:
        return self.tape.add(_count_rows(other, self), _DIVIDE, other, self)  # int has no x**-1

    def __pow__(self, power: float) -> Expression:
        return self._apply(_POWER, power)

    __radd__, __rmul__ = __add__, __mul__

    # Functions of each row, as torch has them.

    def exp(self) -> Expression:
        """See ``torch.exp``."""
        return self._apply(_EXP)

    def log(self) -> Expression:
        """See ``torch.log``."""
        return self._apply(_LOG)

    def clamp(self, min: float = -np.inf, max: float = np.inf) -> Expression:
        """See ``torch.clamp``: at a limit the gradient still passes."""
        return self._apply(_CLAMP, min, max)

    def minimum(self, other: Operand) -> Expression:
        """See ``torch.minimum``: of two equal numbers each gets half of the gradient."""
        return self._apply(_MINIMUM, other)

    def maximum(self, other: Operand) -> Expression:
        """See ``torch.maximum``."""
        return -(-self).minimum(-other)

    def logsigmoid(self) -> Expression:
        """See ``torch.nn.functional.logsigmoid``."""
        return self._apply(_LOGSIGMOID)

    # Several rows at a time.

    def sum(self) -> Expression:
        """Return the sum over the rows."""
        return self.tape.add(None, _SUM, self)

    def mean(self) -> Expression:
        """Return the mean over the rows."""
        return self.tape.add(None, _MEAN, self, self.rows or 1)

    def __getitem__(self, part: slice) -> Expression:
        count = len(range(*part.indices(len(self))))
        return self.tape.add(count, _SELECT, self, part, len(self))

    def sum_by_row(self, ragged: Any) -> Expression:
        """Return the sums [M] of the rows of a ``Ragged``, whose values this has."""
        return self.tape.add(len(ragged), _SUM_BY_ROW, self, ragged)

    # Python would answer these without an error, but differently from a tensor.

    def __bool__(self) -> NoReturn:
        raise TypeError("A loss that depends on a decision is left to autograd.")

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("A loss that depends on a decision is left to autograd.")

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def __torch_function__(
        cls, function: Any, types: object, args: Any, kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Compute a function of torch that was called with expressions."""
        method = _TORCH_FUNCTIONS.get(function)
        return NotImplemented if method is None else method(*args, **(kwargs or {}))


class _Node(NamedTuple):
    name: str
    rows: int | None
    operation: Operation
    operands: tuple[Any, ...]
    """Expressions and names of constants."""


class Tape:
    """The operations of a loss, in order.

    Args:
        holds_arrays: whether arrays are constants of it; they cannot be where the tape serves
            several minibatches.

    >>> tape = Tape()
    >>> logp, advantages = tape.add_input("logp", 2), tape.add_input("advantages", 2)
    >>> gradient = tape.differentiate((-logp * advantages).mean(), [logp])
    >>> gradient({"logp": np.zeros(2), "advantages": np.array([3.0, 5.0])})
    [array([-1.5, -2.5])]
    """

    def __init__(self, *, holds_arrays: bool = False) -> None:
        self.inputs: dict[str, Hashable] = {}
        self.constants: dict[str, Any] = {}
        self._holds_arrays = holds_arrays
        self._nodes: list[_Node] = []

    def add_input(self, key: Hashable, rows: int | None) -> Expression:
        """Return the symbol of what will be given under this key."""
        name = f"x{len(self.inputs)}"
        self.inputs[name] = key
        return Expression(self, name, rows)

    def add(self, rows: int | None, operation: Operation, *operands: object) -> Expression:
        """Return the symbol of what an operation makes of expressions and constants."""
        if not torch.is_grad_enabled():
            raise TypeError("What has no gradient by choice is left to autograd.")
        named = tuple(x if type(x) is Expression else self._add_constant(x) for x in operands)
        self._nodes.append(_Node(f"v{len(self._nodes)}", rows, operation, named))
        return Expression(self, self._nodes[-1].name, rows)

    def _add_constant(self, value: object) -> str:
        fixed = isinstance(value, int | float | np.number | slice) or callable(value)
        if not (fixed or (self._holds_arrays and not isinstance(value, torch.Tensor))):
            raise TypeError("What differs between minibatches has to come from their columns.")
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def differentiate(self, total: Expression, by: list[Expression]) -> TapeFunction:
        """Return the function that computes the gradient of a scalar by some expressions."""
        if total.rows is not None:
            raise TypeError("Only a scalar has one gradient: take the mean or the sum of the rows.")
        active = {x.name for x in by}  # and what is computed from them
        for node in self._nodes:
            if any(type(x) is Expression and x.name in active for x in node.operands):
                active.add(node.name)
        lines: list[str] = []
        # A gradient is the sum of its terms, one for each operation that reads the variable.
        terms: dict[str, list[str]] = {total.name: ["g"]}
        for node in reversed(self._nodes):
            if node.name not in terms or node.name not in active:
                continue
            g = f"g{node.name[1:]}"
            lines.append(f"{g} = {' + '.join(terms[node.name])}")
            names = [x.name if type(x) is Expression else x for x in node.operands]
            for x, slope in zip(node.operands, node.operation.slopes, strict=True):
                if type(x) is not Expression or x.name not in active:
                    continue
                if slope is None:
                    raise TypeError("A loss that is not differentiated here is left to autograd.")
                term = slope.format(*names, g=g, y=node.name)
                if x.rows is None and node.rows is not None:  # a scalar counts in each row
                    term = f"sum_rows({term}, {self._add_constant(node.rows)})"
                terms.setdefault(x.name, []).append(term)
        results = [" + ".join(terms.get(x.name, ["None"])) for x in by]
        return TapeFunction(self, self._write_values(*lines, f"return [{', '.join(results)}]"))

    def evaluate(self, result: Expression) -> TapeFunction:
        """Return the function that computes an expression."""
        return TapeFunction(self, self._write_values(f"return {result.name}"))

    def _write_values(self, *last: str) -> list[str]:
        """Return these lines behind those that compute what they read, which is not every value."""
        lines = list(last)
        read = set(_VARIABLES.findall(" ".join(lines)))
        for node in reversed(self._nodes):
            if node.name in read:
                names = [x.name if type(x) is Expression else x for x in node.operands]
                lines.insert(0, f"{node.name} = {node.operation.value.format(*names)}")
                read |= set(_VARIABLES.findall(lines[0]))
        return lines


class TapeFunction:
    """A function of what is given to an expression, or to the gradients of a scalar.

    Args:
        tape: what either was computed by.
        lines: the body of the function.
    """

    def __init__(self, tape: Tape, lines: list[str]) -> None:
        read = sorted(
            set(_VARIABLES.findall(" ".join(lines))) - {line.split()[0] for line in lines}
        )
        self._compute = _compile(tuple(read), tuple(lines))
        self.inputs = [tape.inputs[name] for name in read if name in tape.inputs]
        """Keys of what has to be given."""
        self._constants = [tape.constants[name] for name in read if name in tape.constants]

    def __call__(self, given: Mapping[Hashable, Any], g: float = 1.0) -> Any:
        """Return the value, or a list of gradients: arrays [N], one number for all rows, or None.

        Args:
            given: the values of the inputs.
            g: what gradients are multiplied by.
        """
        # Names of constants come before those of inputs, as their first letters do.
        return self._compute(g, *self._constants, *[given[key] for key in self.inputs])


_VARIABLES = re.compile(r"\b[kvx]\d+\b")


@lru_cache(maxsize=256)
def _compile(parameters: tuple[str, ...], lines: tuple[str, ...]) -> Callable[..., Any]:
    """Return the function of these parameters and this body."""
    source = f"def compute({', '.join(('g', *parameters))}):\n    " + "\n    ".join(lines)
    names: dict[str, Any] = dict(_HELPERS)
    exec(source, names)  # nothing of it comes from outside of this file
    return names["compute"]


def differentiable(**slopes: Callable[..., Array]) -> Callable[[FunctionT], FunctionT]:
    """Let a function of tensors [N] take expressions as well, by stating its derivatives.

    One step is quicker than one for each of its operations. ``slopes`` are named as the arguments;
    each returns the derivative [N] by that argument, given all arguments as arrays.
    """

    def decorate(function: FunctionT) -> FunctionT:
        names = list(signature(function).parameters)
        args = ", ".join(f"{{{i}}}" for i in range(len(names)))
        chained = [f"{{g}} * {{{len(names) + 1 + i}}}({args})" for i in range(len(slopes))]
        by_name = dict(zip(slopes, chained, strict=True))
        operation = Operation(
            f"call({{{len(names)}}}, {args})",
            (*(by_name.get(name) for name in names), *[None] * (1 + len(slopes))),
        )

        @wraps(function)
        def call(*given: object, **named: object) -> Any:
            first = next((x for x in given if type(x) is Expression), None)
            if first is None or named:  # named arguments go through one operation after the other
                return function(*given, **named)
            return first.tape.add(
                _count_rows(*given), operation, *given, function, *slopes.values()
            )

        return call  # type: ignore[return-value]

    return decorate


def _count_rows(*operands: object) -> int | None:
    """Return the number of rows that all operands with rows have; None: all are scalars."""
    columns = (x for x in operands if isinstance(x, Expression | np.ndarray) and x.ndim)
    counts = {len(x) for x in columns}
    # Only the forward pass of tensors would refuse others, and most of it is not computed here.
    if len(counts) > 1:
        raise TypeError(f"These columns have different numbers of rows: {sorted(counts)}.")
    return counts.pop() if counts else None


def _call(function: Callable[..., torch.Tensor], *args: Array | float) -> Array:
    return np.asarray(function(*map(torch.as_tensor, args)))


def _sum_rows(gradient: Any, rows: int) -> Any:
    return gradient.sum() if np.ndim(gradient) else gradient * rows


def _share_minimum(a: Array | float, b: Array | float) -> Array:
    """Return how much of the gradient [N] goes to the first of two numbers: 1, 0, or half of it."""
    return 0.5 * (np.less(a, b).astype(np.float32) + np.less_equal(a, b))


def _place(gradient: Array | float, part: slice, rows: int) -> Array:
    placed = np.zeros(rows, np.float32)
    placed[part] = gradient
    return placed


def _repeat(gradient: Array | float, ragged: Any) -> Array:
    return np.repeat(np.broadcast_to(gradient, len(ragged)), ragged.lengths)


_HELPERS = {
    "np": np,
    "call": _call,
    "sum_rows": _sum_rows,
    "share_minimum": _share_minimum,
    "place": _place,
    "repeat": _repeat,
}
_NEGATE = Operation("-{0}", ("-{g}",))
_ADD = Operation("{0} + {1}", ("{g}", "{g}"))
_SUBTRACT = Operation("{0} - {1}", ("{g}", "-{g}"))
_MULTIPLY = Operation("{0} * {1}", ("{g} * {1}", "{g} * {0}"))
_DIVIDE = Operation("{0} / {1}", ("{g} / {1}", "-{g} * {y} / {1}"))
_POWER = Operation("{0} ** {1}", ("{g} * {1} * {0} ** ({1} - 1)", None))
_EXP = Operation("np.exp({0})", ("{g} * {y}",))
_LOG = Operation("np.log({0})", ("{g} / {0}",))
_CLAMP = Operation(
    "np.minimum(np.maximum({0}, {1}), {2})",
    ("{g} * (({0} >= {1}) & ({0} <= {2}))", None, None),
)
_MINIMUM = Operation(
    "np.minimum({0}, {1})",
    ("{g} * share_minimum({0}, {1})", "{g} * share_minimum({1}, {0})"),
)
# 1 - sigmoid(x), without exp of a large number.
_LOGSIGMOID = Operation("-np.logaddexp(0, -{0})", ("{g} * (0.5 - 0.5 * np.tanh(0.5 * {0}))",))
_SUM = Operation("np.sum({0})", ("{g}",))
_MEAN = Operation("np.mean({0})", ("{g} / {1}", None))
_SELECT = Operation("{0}[{1}]", ("place({g}, {1}, {2})", None, None))
_SUM_BY_ROW = Operation("{1}.sum_by_row({0})", ("repeat({g}, {1})", None))

_TORCH_FUNCTIONS: Mapping[Any, Callable[..., Expression]] = {
    torch.exp: Expression.exp,
    torch.log: Expression.log,
    torch.clamp: Expression.clamp,
    torch.minimum: Expression.minimum,
    torch.maximum: Expression.maximum,
    torch.mean: Expression.mean,
    torch.sum: Expression.sum,
    logsigmoid: Expression.logsigmoid,
}
