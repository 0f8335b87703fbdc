# pyright: basic
"""Mutations of Python sources: small changes that a good test suite notices.

A mutation replaces one stretch of the text, so that a diff shows nothing else. What no test should
notice is left out: docstrings, annotations, messages of errors, decorators, and what only type
checkers read.
"""

import ast
import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

COMPARED = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
CALCULATED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
COMMUTATIVE = {"min", "max", "minimum", "maximum", "allclose", "array_equal", "logaddexp", "gcd"}
"""Functions whose first two arguments may be exchanged."""


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One change of one source file."""

    path: str
    """The file, relative to the repository."""
    kind: str
    """What is done: compare, calculate, constant, negate, keyword, return, swap, remove."""
    line: int
    """The first line that changes, from 1."""
    start: int
    """Where the stretch that changes begins in the file, in characters."""
    end: int
    """Where it ends."""
    text: str
    """What it becomes."""

    def applied(self, source: str) -> str:
        """The source with the change."""
        return source[: self.start] + self.text + source[self.end :]


def mutations(path: str, source: str) -> list[Mutation]:
    """All mutations of one source, in the order of their places."""
    tree = ast.parse(source)
    offsets = [0]
    for line in source.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    lines = source.split("\n")

    def place(line: int, column: int) -> int:
        """The character at a line and a column in bytes."""
        return offsets[line - 1] + len(lines[line - 1].encode()[:column].decode())

    found: list[Mutation] = []
    for node in _changeable(tree):
        for kind, changed, new in _changes(node):
            old: Any = changed
            start = place(old.lineno, old.col_offset)
            end = place(old.end_lineno, old.end_col_offset)
            text = new if isinstance(new, str) else ast.unparse(new)
            if isinstance(old, ast.expr) and not isinstance(old, ast.Constant):
                text = f"({text})"  # it may stand inside of another expression
            if text.strip("()") != source[start:end].strip("()"):
                found.append(Mutation(path, kind, old.lineno, start, end, text))
    return sorted(set(found), key=lambda m: (m.start, m.end, m.kind, m.text))


def _changeable(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below one, without what no test should notice."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _unnoticed(child):
                continue
            yield child
            yield from _changeable(child)


def _unnoticed(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).endswith("TypeAlias"):
        return True
    if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("TypeVar("):
        return True
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return True  # zip's own assertion
    skipped = (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Assert)
    return isinstance(node, skipped)


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST, ast.AST | str]]:
    """The changes of one node: kind, the node that is replaced, and by what."""
    if isinstance(node, ast.expr):
        yield from _expressed(node)
    elif isinstance(node, ast.AugAssign):
        yield "calculate", node, _other(node, CALCULATED)
        yield "remove", node, "pass"
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield "return", node.value, "None"
    elif isinstance(node, (ast.Continue, ast.Break)) or _acts(node):
        yield "remove", node, "pass"
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield "negate", node.test, ast.UnaryOp(ast.Not(), node.test)


def _expressed(node: ast.expr) -> Iterator[tuple[str, ast.AST, ast.AST | str]]:
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in COMPARED[type(operator)]:
                yield "compare", node, _with(node, "ops", place, other())
    elif isinstance(node, ast.BinOp):
        yield "calculate", node, _other(node, CALCULATED)
    elif isinstance(node, ast.BoolOp):
        yield "negate", node, _other(node, {ast.And: ast.Or, ast.Or: ast.And})
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        # The axis -1 is often the axis 1.
        if ast.unparse(node) != "-1":
            yield "negate", node, node.operand
    elif isinstance(node, ast.Constant) and (other := _constant(node.value)) is not None:
        yield "constant", node, repr(other)
    elif isinstance(node, ast.Call):
        yield from _called(node)


def _other(node: Any, operators: Mapping[type, type]) -> ast.AST:
    """The same node with the operator that stands for its own."""
    changed = copy.deepcopy(node)
    changed.op = operators[type(node.op)]()
    return changed


def _constant(value: object) -> object:
    """Another constant of the same kind; None: none is tried (texts, None, ellipses)."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 2 if value else 1.0
    return None


def _called(node: ast.Call) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    for place, keyword in enumerate(node.keywords):
        if _unnoticed(keyword):
            continue
        changed = copy.deepcopy(node)
        del changed.keywords[place]
        yield "keyword", node, changed
    plain = [not isinstance(argument, ast.Starred) for argument in node.args]
    name = ast.unparse(node.func).split(".")[-1]
    if len(plain) > 1 and all(plain[:2]) and name not in COMMUTATIVE:
        changed = copy.deepcopy(node)
        changed.args[:2] = changed.args[1::-1]
        yield "swap", node, changed


def _acts(node: ast.AST) -> bool:
    """Whether a statement is there for what it does to something that exists already."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, (ast.Subscript, ast.Attribute)) for target in targets)


def _with(node: ast.AST, field: str, place: int, value: ast.AST) -> ast.AST:
    changed = copy.deepcopy(node)
    getattr(changed, field)[place] = value
    return changed
