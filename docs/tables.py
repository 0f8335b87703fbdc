"""Tables of the documentation that are generated from the code.

A page holds a table between two markers, ``<!-- table: NAME -->`` and ``<!-- end of table -->``.
``python -m docs.tables`` rewrites every table whose code has changed; with ``--check`` it fails if
there is one.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

import algos
import envs
from algos.rllib.rllib_algorithms import list_rllib_algorithms
from algos.rollouts.env_requirements import format_requirements_table
from algos.settings.training import TrainingSettings
from cluster.commands.groups import summarise_commands
from cluster.commands.listings import list_preset_rows
from rungwise.metrics import METRICS
from rungwise.validation import get_fields
from tune_jobs.check.explain import check_table, format_symptoms_table
from tune_jobs.jobs.field_docs import get_field_groups, read_field_docs
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.preset_scores import format_steps
from tune_jobs.stopping.stop_rules import STOP_RULES

DOCS = Path(__file__).parent
MARKED = re.compile(r"<!-- table: (?P<name>[\w.-]+) -->\n.*?<!-- end of table -->", re.S)


def refresh_tables(text: str) -> str:
    """Return a page with every marked table generated anew.

    Raises:
        KeyError: no function in TABLES makes a table of this name.
    """

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- table: {name} -->\n{TABLES[name]()}\n<!-- end of table -->"

    return MARKED.sub(replace, text)


def format_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; bars and line breaks cannot break it."""
    lines = [list(header), *map(list, rows)]
    cells = [[format_cell(cell) for cell in line] for line in lines]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def format_cell(text: str) -> str:
    """Return a text of a docstring as one line of Markdown."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def format_fields_table(config: type, without: Iterable[str] = (), grouped: bool = True) -> str:
    """Return the fields of a configuration class with type, default and meaning, by group."""
    docs, types, groups = read_field_docs(config), get_fields(config), get_field_groups(config)
    rows: dict[str, list[list[str]]] = {}
    for field in dataclasses.fields(config):
        if field.name in without:
            continue
        hint, bounds = types[field.name]
        kind = format_type(hint) + (f", {bounds}" if bounds else "")
        row = [f"`{field.name}`", kind, format_default(field), docs.get(field.name, "")]
        rows.setdefault(groups[field.name] if grouped else "", []).append(row)
    header = ("field", "type", "default", "meaning")
    tables = [
        (f"**{group}**\n\n" if group else "") + format_table(header, lines)
        for group, lines in rows.items()
    ]
    return "\n\n".join(tables)


def format_type(hint: Any) -> str:
    """Return a type as a reader of YAML knows it."""
    arguments = get_args(hint)
    if get_origin(hint) is typing.Literal:
        return " or ".join(f"`{value or repr(value)}`" for value in arguments)
    if get_origin(hint) is dict:
        return "mapping"
    if get_origin(hint) in (list, tuple):
        return "list"
    if type(None) in arguments:
        (given,) = (argument for argument in arguments if argument is not type(None))
        return f"{format_type(given)} or null"
    if get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(format_type, arguments)))
    names = {int: "integer", float: "number", bool: "true or false", str: "text"}
    return names.get(hint, "fields of its own" if dataclasses.is_dataclass(hint) else str(hint))


def format_default(field: dataclasses.Field[Any]) -> str:
    """Return a field's default value as YAML, or what stands for a missing one."""
    if field.default is dataclasses.MISSING:
        return "required" if field.default_factory is dataclasses.MISSING else ""
    if field.default is None:
        return "`null`"
    value: Any = list(field.default) if isinstance(field.default, tuple) else field.default
    text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    return f"`{text}`"


def format_settings_table(algorithm: str) -> str:
    """Return the settings that an algorithm adds to the shared ones, or changes."""
    settings = algos.get_algorithm_class(algorithm).settings_class
    shared = {field.name: field for field in dataclasses.fields(TrainingSettings)}
    docs, shared_docs = read_field_docs(settings), read_field_docs(TrainingSettings)
    inherited = [
        field.name
        for field in dataclasses.fields(settings)
        if field.name in shared
        and field.default == shared[field.name].default
        and docs.get(field.name) == shared_docs.get(field.name)
    ]
    return format_fields_table(settings, without=inherited, grouped=False)


def format_algorithms_table() -> str:
    """Return the name, description and file of each algorithm."""
    rows = [
        [f"`{name}`", description, f"[`{module.replace('.', '/')}.py`](../{path(module)})"]
        for name, (module, _, description) in algos.ALGORITHMS.items()
    ]
    return format_table(("algorithm", "what it is", "file"), rows)


def format_rllib_table() -> str:
    """Return the name and description of each of RLlib's own algorithms."""
    rows = [[f"`{name}`", description] for name, description in list_rllib_algorithms().items()]
    return format_table(("algorithm", "what it is"), rows)


def path(module: str) -> str:
    """Return the file of a module, relative to the repository."""
    return module.replace(".", "/") + ".py"


def format_environments_table() -> str:
    """Return the name, description and file of each environment."""
    rows = [
        [
            f"`{family.name}`",
            family.description,
            f"[`{path(family.path.split(':')[0])}`](../{path(family.path.split(':')[0])})",
        ]
        for family in envs.FAMILIES.values()
    ]
    return format_table(("environment", "task", "file"), rows)


def format_presets_table() -> str:
    """Return each preset with its environment, algorithm, size, score and first sentence."""
    rows: list[list[str]] = []
    for preset in list_preset_rows():
        size = f"{preset.trials} x {preset.iterations}"
        steps = format_steps(preset.steps).removesuffix(" steps")
        score = preset.score
        reached = [score.time_text or "-", score.score_text] if score else ["-", "-"]
        job = [f"`{preset.name}`", preset.env, preset.algo, size, steps]
        rows.append([*job, *reached, preset.shows])
    header = ("preset", "environment", "algorithm", "trials x iterations")
    header += ("steps of a trial", "time", "score", "purpose")
    return format_table(header, rows)


def format_stop_rules_table() -> str:
    """Return each stop rule, in the order in which they are asked, with what it ends."""
    rows: list[list[str]] = []
    for rule in STOP_RULES:
        ends = (inspect.getdoc(rule) or "").partition("\n\n")[0].removeprefix("End ")
        rows.append([f"`{rule.__name__}`", ends])
    return format_table(("rule", "ends"), rows)


def format_commands_table() -> str:
    """Return every command with the first line of its help, in the groups of ``--help``."""
    rows = [
        [f"`rungwise {name}`", summary.partition("\n\n")[0], group]
        for group, commands in summarise_commands().items()
        for name, summary in commands.items()
    ]
    return format_table(("command", "what it does", "group"), rows)


def format_metrics_table() -> str:
    """Return every metric of the catalogue with its unit, meaning and healthy range."""
    rows = [[f"`{name}`", m.unit, m.meaning, m.healthy] for name, m in METRICS.items()]
    return format_table(("metric", "unit", "meaning", "in a healthy run"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "symptoms": format_symptoms_table,
    "check-findings": check_table,
    "requirements": lambda: format_requirements_table(algos.load_objectives()),
    "algorithms": format_algorithms_table,
    "rllib-algorithms": format_rllib_table,
    "environments": format_environments_table,
    "presets": format_presets_table,
    "metrics": format_metrics_table,
    "stop-rules": format_stop_rules_table,
    "commands": format_commands_table,
    "job": lambda: format_fields_table(Job),
    "settings": lambda: format_fields_table(TrainingSettings),
    **{
        f"settings.{name}": lambda name=name: format_settings_table(name)
        for name in algos.ALGORITHMS
    },
    **{
        f"arguments.{name}": lambda family=family: format_fields_table(family.params)
        for name, family in envs.FAMILIES.items()
    },
}
"""Name of a table -> the function that makes it."""


def find_stale_pages() -> dict[Path, str]:
    """Return the pages with a stale table and their current text."""
    texts = {page: page.read_text() for page in sorted(DOCS.glob("*.md"))}
    fresh = {page: refresh_tables(text) for page, text in texts.items()}
    return {page: text for page, text in fresh.items() if text != texts[page]}


def main(words: list[str]) -> None:
    """Rewrite the pages whose tables are stale and print their names, or only name the first.

    Raises:
        SystemExit: with ``--check``, a table is stale.
    """
    for page, text in find_stale_pages().items():
        if words == ["--check"]:
            sys.exit(f"A table in {page.name} is stale: run `python -m docs.tables`.")
        page.write_text(text)
        print(f"refreshed {page.name}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
