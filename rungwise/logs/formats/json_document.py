"""A JSON document that is no lines: a list of objects, an object of columns, or one with either."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from rungwise.logs.formats.document import DocumentReader, read_json
from rungwise.logs.formats.log_reader import SEARCHED
from rungwise.logs.formats.tail import open_text
from rungwise.logs.likely_return import is_return
from rungwise.logs.log_record import Record, flatten, parse_json

Row = dict[str, object]
SHORTEST = 2
"""Rows of a list at least; a shorter one is a setting."""
MOST_SET = 10
"""Numbers of a setting at most."""
NAMES = {"xs": "step", "ys": "score", "method": "algo"}
"""Names in published scores of Dreamer (``scores/*.json.gz``: a list of curves), and ours."""
SCALARS = (int, float, str, type(None))


class JsonDocumentReader(DocumentReader):
    """A document with rows, or with columns of equal length, at any depth."""

    name = "JSON document"
    needs_return = True
    endings = (".json", ".json.gz")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is one document: what is not an object in a line of its own."""
        if path.suffix != ".json":
            return path.name.endswith(cls.endings)
        with open_text(path, "replace") as file:
            first, rest = file.readline(SEARCHED).strip(), file.readline(SEARCHED).strip()
        try:
            data = parse_json(first)
        except ValueError:
            # Half a line of a log breaks off; a document breaks where it is indented.
            return first[:1] == "[" or (first[:1] == "{" and first[-1] in "{[,:" and bool(rest))
        if not isinstance(data, dict) or rest:
            return isinstance(data, list)
        # A log that has just started is one line, too: its return is a number, and no list.
        numbers = [name for name, value in flatten(data).items() if not isinstance(value, list)]
        return not any(map(is_return, numbers)) and bool(find_rows(data))

    def parse(self, path: Path) -> list[Record]:
        """Return the rows of the document."""
        rows = find_rows(read_json(path))
        if not rows:
            raise ValueError(
                "it is valid JSON, but has neither a list of objects nor lists of equal length; "
                'write [{"step": 1, "return": 2.0}, ...]'
            )
        return [Record(f"row {number}", row) for number, row in enumerate(rows, start=1)]


def find_rows(data: object) -> list[Row]:
    """Return the rows of a document: of several lists the one with a return, then the longest."""
    tables = [rows for rows in _list_tables(data) if len(rows) >= SHORTEST]
    return max(tables, key=lambda rows: (any(map(is_return, rows[0])), len(rows)), default=[])


def _list_tables(data: object) -> Iterator[list[Row]]:
    if isinstance(data, list):
        data = {"": data}
    if not isinstance(data, dict):
        return
    columns: dict[int, dict[str, list[object]]] = {}
    # Sacred's ``metrics.json`` (``observers/file_storage.py``) has steps and values of each metric.
    for name, value in flatten(cast("Mapping[str, object]", data)).items():
        items = cast("list[object]", value) if isinstance(value, list) else []
        if items and all(isinstance(item, dict) for item in items):
            yield _expand([flatten(cast("Mapping[str, object]", item)) for item in items])
        elif name and all(isinstance(item, SCALARS) for item in items):
            name = "step" if name.endswith("/steps") else name.removesuffix("/values")
            columns.setdefault(len(items), {})[name] = items
    for size, table in columns.items():
        # Settings are lists, too, such as the widths of layers.
        if any(map(is_return, table)) or size > MOST_SET:
            yield _turn(table)


def _turn(columns: Mapping[str, Sequence[object]]) -> list[Row]:
    """Return the rows of columns of equal length."""
    names = [NAMES.get(name, name) for name in columns]
    lines = zip(*columns.values(), strict=True)
    return [{n: v for n, v in zip(names, line, strict=True) if v is not None} for line in lines]


def _expand(rows: list[Row]) -> list[Row]:
    """Return the rows, or where each is a curve of its own its points with what names it."""
    expanded: list[Row] = []
    for row in rows:
        columns = {name: value for name, value in row.items() if isinstance(value, list)}
        if len(columns) < SHORTEST or len(set(map(len, columns.values()))) > 1:
            return rows
        label = {NAMES.get(n, n): v for n, v in row.items() if n not in columns}
        expanded += [label | point for point in _turn(columns)]
    return expanded
