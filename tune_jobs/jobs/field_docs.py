"""Read what documents the fields of a configuration: the docstring under each, and its group."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from functools import cache


def read_field_docs(config: type) -> dict[str, str]:
    """Return the docstring under each field of a dataclass as one line, inherited ones included."""
    docs: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if dataclasses.is_dataclass(cls):
            docs |= _read_own_docs(cls)
    return docs


@cache  # to find a class Python parses its whole file, and many configurations share their bases
def _read_own_docs(cls: type) -> dict[str, str]:
    """Return the docstring under each field that this class itself has."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101
    docs: dict[str, str] = {}
    for field, doc in zip(body.body, body.body[1:], strict=False):
        match field, doc:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(sentence))),
            ):
                docs[name] = " ".join(sentence.split())
            case _:
                pass
    return docs


def get_field_groups(config: type) -> dict[str, str]:
    """Return the group of each field of a dataclass; empty for fields without one.

    A group is a base class with an attribute ``group``. A class that only changes the default of a
    field leaves it in its group.
    """
    groups: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        for name in vars(cls).get("__annotations__", {}):
            groups.setdefault(name, vars(cls).get("group", ""))
    return {field.name: groups[field.name] for field in dataclasses.fields(config)}
