# pyright: basic
"""Every dependency is listed with a reason."""

import itertools
import re
import tomllib

from paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
STUBS = {"types-pyyaml"}


def test_every_dependency_has_a_reason():
    needed = [
        *PROJECT["dependencies"],
        *itertools.chain(*PROJECT["optional-dependencies"].values()),
    ]
    names = {re.split(r"[\[<>=]", line)[0] for line in needed} - STUBS - {PROJECT["name"]}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", page, re.M)
    listed = set(re.findall(r"[a-z][a-z0-9-]*", re.sub(r"\(.*?\)|\[.*?\]", "", " ".join(rows))))
    assert names - listed == set()
