# pyright: basic
"""Where a newcomer is sent exists."""

import ast
import re

import pytest
from paths import ROOT

PAGE = (ROOT / "docs" / "developing.md").read_text()
FOUND = re.findall(r"\| \[`[^`]+`\]\(\.\./([^)]+)\) \| `([\w.]+)` \|", PAGE)
TABLE = PAGE.partition("## Where to add what")[2].partition("\n## ")[0]
SUBJECTS = [
    "environment family",
    "algorithm",
    "stop rule",
    "health rule",
    "log reader",
    "cluster target",
    "tab or page of the dashboard",
    "tracker",
]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(\.\./([^)#]+)\)", TABLE))))
def test_path_in_developing_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_developing_says_where_to_add(subject):
    (row,) = (line for line in TABLE.splitlines() if re.match(rf"\| an? {subject}\b", line))
    assert "](../" in row


def list_names(body):
    """The names that statements define, those of the members of classes behind their own."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
            yield from (f"{node.name}.{name}" for name in list_names(node.body))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize(("path", "name"), FOUND)
def test_what_is_sought_is_defined_where_the_page_says(path, name):
    assert name in list_names(ast.parse((ROOT / path).read_text()).body)


def test_the_questions_of_a_newcomer_are_answered():
    assert len(FOUND) >= 12
