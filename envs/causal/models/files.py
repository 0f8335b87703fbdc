"""Structural causal models from users' files.

A model is a table: ``target`` (the node to be driven down; only optimisation needs it), ``domain``
(that of nodes without one of their own) and ``nodes``, which have names and the entries that
:class:`Entry` lists::

    target: Y
    nodes:
      U: {hidden: true}
      X: {noise: {uniform: [0, 2]}, domain: [-5, 5]}
      Z: {parents: {X: -1.5, U: 1}, kind: tanh, offset: 0.5, domain: [-5, 20]}
      Y: {expr: cos(Z) - exp(-Z/20) + U, noise: 0.5}

``.yaml`` holds it as it stands. In graphs (``.gml``, ``.graphml``, and ``.dot`` through pydot)
target and domain are attributes of the graph, the entries attributes of the nodes, and the weights
of parents the attribute ``weight`` of the edges; lists and mappings are written as text in YAML,
attributes of drawings are ignored, and the domain is [-5, 5] if there is none. ``.bif`` holds
discrete networks (:mod:`envs.causal.models.discrete_scm`), ``.json`` linear-Gaussian ones as pgmpy
saves them (:mod:`envs.causal.models.gaussian`).
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, cast

import yaml

from envs.causal.models.discrete_scm import read_bif
from envs.causal.models.expressions import Formula, NodeNoise, assemble_model, parse_expression
from envs.causal.models.gaussian import network
from envs.causal.models.scm import FUNCTIONS, Model
from envs.contract.pytree import Floats
from rungwise.validation import InputError, check_value, get_fields, unknown_name_error


@dataclasses.dataclass(frozen=True)
class Entry:
    """One node of a table."""

    parents: list[str] | dict[str, float] = dataclasses.field(default_factory=list[str])
    """Its parents, with weights if these are not 1; with ``expr``, which names them, not needed."""
    expr: str | float | None = None
    """Its mechanism, as an expression in its parents' names."""
    kind: str = "linear"
    """Without expr: its mechanism is the sum of this function of its parents, times the weights."""
    offset: float = 0.0
    """Without expr: constant added to that; for a root its mean."""
    noise: float | dict[str, list[float]] = 1.0
    """Added: its standard deviation, or ``normal: [mean, std]``, or ``uniform: [low, high]``."""
    domain: list[float] | None = None
    """The smallest and the largest value that it may be set to."""
    hidden: bool = False
    """Whether it is neither seen nor set."""
    settable: bool = True
    """Whether it may be set; the target and hidden nodes may not."""


def read(path: Path) -> Model:
    """Read the model in a file, whose suffix names its format.

    Raises:
        InputError: naming the file, and the node where one is wrong.
    """
    if path.suffix not in _READERS:
        raise unknown_name_error("format", path.suffix, _READERS, f"for the model {path}")
    if not path.is_file():
        raise InputError(f"There is no file {path}: check the path to the model.")
    try:
        return _READERS[path.suffix](path)
    except InputError as error:
        raise InputError(f"The model {path} cannot be used. {error}") from error


def from_table(table: Mapping[str, Any]) -> Model:
    """Make the model that a table describes (see the top of this file).

    Raises:
        InputError: naming the node that is wrong, what was seen and what to do.
    """
    for key in table:
        if key not in _TOP:
            raise unknown_name_error("entry", str(key), _TOP, "at the top of the model")
    nodes, target = table.get("nodes"), table.get("target", "")
    if not isinstance(nodes, dict) or not nodes:
        raise InputError(
            f"A model needs nodes, which have names, but they are {nodes!r}: add them."
        )
    entries = {
        _name(name): _entry(str(name), node or {})
        for name, node in cast("dict[Any, Any]", nodes).items()
    }
    if target and target not in entries:
        raise unknown_name_error("node", str(target), entries, "to be the target")
    hidden = [name for name, entry in entries.items() if entry.hidden]
    names = [*(name for name in entries if name not in hidden), *hidden]
    default = table.get("domain")
    if default is not None:
        _range("domain", default)
    settable = [name for name in names if entries[name].settable and name not in (*hidden, target)]
    return assemble_model(
        {name: _formula(name, entries[name], names) for name in names},
        {name: _noise(name, entries[name]) for name in names},
        {name: _domain(name, entries[name], default) for name in settable},
        target,
        len(hidden),
    )


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise InputError(f"The name of a node must be text, but it is {name!r}: put it in quotes.")
    return name


def _entry(name: str, entries: object) -> Entry:
    if not isinstance(entries, dict):
        raise InputError(f"The node {name} must have entries like noise: 1, but it is {entries!r}.")
    fields = get_fields(Entry)
    for key, value in cast("dict[Any, Any]", entries).items():
        if key not in fields:
            raise unknown_name_error("entry", str(key), fields, f"for the node {name}")
        check_value(f"The {key} of the node {name}", value, fields[key][0])
    return Entry(**entries)


def _formula(name: str, entry: Entry, names: list[str]) -> tuple[Formula, set[str]]:
    """Return the noiseless mechanism of a node, and the names of its parents."""
    parents = (
        entry.parents if isinstance(entry.parents, dict) else dict.fromkeys(entry.parents, 1.0)
    )
    for parent, weight in parents.items():
        if parent not in names:
            raise unknown_name_error("node", str(parent), names, f"among the parents of {name}")
        check_value(f"The weight of {parent} for the node {name}", weight, float)
    if entry.expr is None:
        if entry.kind not in FUNCTIONS:
            raise unknown_name_error("kind", entry.kind, FUNCTIONS, f"for the node {name}")
        terms = [(names.index(parent), weight) for parent, weight in parents.items()]
        return _additive(terms, FUNCTIONS[entry.kind], entry.offset), set(parents)
    formula, read = parse_expression(str(entry.expr), name, names)
    if entry.parents and read != set(parents):
        odd = min(read ^ set(parents))
        raise InputError(
            f"The parents of {name} are {', '.join(parents)}, but its expression {entry.expr!r} "
            f"{'reads' if odd in read else 'does not read'} {odd}: leave parents out, or mend them."
        )
    return formula, read


def _additive(
    terms: list[tuple[int, float]], function: Callable[[Floats], Floats], offset: float
) -> Formula:
    def formula(x: Floats) -> Any:
        return sum((weight * function(x[..., parent]) for parent, weight in terms), offset)

    return formula


def _noise(name: str, entry: Entry) -> NodeNoise:
    match entry.noise:
        case int() | float() as std if std >= 0:
            return NodeNoise(std)
        case {"normal": [int() | float() as mean, int() | float() as std]} if std >= 0:
            return NodeNoise(std, mean)
        case {"uniform": [int() | float() as low, int() | float() as high]} if low < high:
            return NodeNoise.uniform(low, high)
        case other:
            raise InputError(
                f"The noise of the node {name} is {other!r}, but it must be a standard deviation, "
                "or normal: [mean, standard deviation], or uniform: [low, high]."
            )


def _domain(name: str, entry: Entry, default: list[float] | None) -> tuple[float, float]:
    domain = entry.domain if entry.domain is not None else default
    if domain is None:
        raise InputError(
            f"The node {name} has no domain, from which its value could be chosen: give it one, "
            "such as domain: [-5, 5], or settable: false."
        )
    return _range(f"domain of the node {name}", domain)


def _range(what: str, given: object) -> tuple[float, float]:
    match given:
        case [int() | float() as low, int() | float() as high] if -inf < low < high < inf:
            return float(low), float(high)
        case _:
            raise InputError(
                f"The {what} must be [low, high] with low < high, but it is {given!r}."
            )


def _read_yaml(path: Path) -> Model:
    try:
        table = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"It is no YAML ({error}): mend it there.") from error
    if not isinstance(table, dict):
        raise InputError(
            "It must have entries, of which nodes is one: see envs/causal/models/files.py."
        )
    return from_table(cast("dict[str, Any]", table))


def _read_json(path: Path) -> Model:
    try:
        return network(json.loads(path.read_text()))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"It is no JSON ({error}): mend it there.") from error


def _read_graph(path: Path) -> Model:
    # Optional or slow, and not needed for other formats.
    import networkx

    readers: dict[str, Callable[[Path], Any]] = {
        ".gml": networkx.read_gml,
        ".graphml": networkx.read_graphml,
        ".dot": networkx.nx_pydot.read_dot,
    }
    try:
        graph = readers[path.suffix](path)
    except ImportError as error:
        raise InputError(
            f"This format needs {error.name}: pip install 'rungwise[causal]'."
        ) from None
    except Exception as error:  # each reader raises whatever its parser trips over
        raise InputError(f"It cannot be read as {path.suffix}: {error}") from error
    if not graph.is_directed():
        raise InputError("Its edges have no direction: write it as a directed graph.")
    nodes = {
        str(name): _select_known_attributes(attributes, _ENTRIES, f"of the node {name}")
        for name, attributes in graph.nodes(data=True)
    }
    for name, attributes in nodes.items():
        parents = {
            str(i): _value(data.get("weight", 1)) for i, _, data in graph.in_edges(name, True)
        }
        attributes["parents"] = list(parents) if "expr" in attributes else parents
    top = {**graph.graph, **graph.graph.get("graph", {})}
    top = _select_known_attributes(top, ("target", "domain"), "of the graph")
    return from_table({"domain": [-5.0, 5.0], **top, "nodes": nodes})


def _select_known_attributes(
    attributes: Mapping[str, Any], keys: Sequence[str], where: str
) -> dict[str, Any]:
    """Return the attributes of a graph or node that have a meaning here.

    Others say how it is drawn; but one that is nearly ours is a mistake.
    """
    for name in attributes:
        if name not in keys and difflib.get_close_matches(str(name), keys, 1, _NEARLY):
            raise unknown_name_error("attribute", str(name), keys, where)
    selected = {key: _value(attributes[key]) for key in keys if key in attributes}
    texts = {key: str(attributes[key]).strip('"') for key in ("expr", "target") if key in selected}
    return selected | texts


def _value(attribute: object) -> Any:
    """Parse an attribute: graph formats have numbers and texts, and a text may be YAML."""
    return yaml.safe_load(attribute.strip('"')) if isinstance(attribute, str) else attribute


_NEARLY = 0.75
"""Names this alike are one name and its misspelling: nois and noise, but not nodes and noise."""
_TOP = ("nodes", "target", "domain")
_ENTRIES = tuple(field.name for field in dataclasses.fields(Entry) if field.name != "parents")
_READERS: dict[str, Callable[[Path], Model]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".json": _read_json,
    ".gml": _read_graph,
    ".graphml": _read_graph,
    ".dot": _read_graph,
    ".bif": read_bif,
}
"""The reader for each ending of a file."""
FORMATS = tuple(_READERS)
"""The endings of files that hold a model."""
