# pyright: basic
"""Where a newcomer is sent exists."""

import re

import pytest
from paths import ROOT

PAGE = (ROOT / "docs" / "developing.md").read_text()
TABLE = PAGE.partition("## Where to add what")[2].partition("\n## ")[0]
SUBJECTS = [
    "environment family",
    "algorithm",
    "stop rule",
    "health rule",
    "log reader",
    "cluster target",
    "tracker",
]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(\.\./([^)#]+)\)", TABLE))))
def test_path_in_developing_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_developing_says_where_to_add(subject):
    (row,) = (line for line in TABLE.splitlines() if re.match(rf"\| an? {subject}\b", line))
    assert "](../" in row
