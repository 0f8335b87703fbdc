# pyright: basic
"""Every command in the documentation is accepted by the command line."""

import re
import shlex
import sys

import gymnasium
import pytest
from paths import ROOT

from cluster import cli

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.S | re.M)
CARTPOLE = "gymnasium.envs.classic_control:CartPoleEnv"
CELL = re.compile(r"\| `((?:\w+=\S+ )*rungwise \S+ [^`]+)` \|")


def find_commands():
    for page in PAGES:
        text = page.read_text()
        blocks = (block.replace("\\\n", "") for block in BLOCK.findall(text))
        lines = [line for block in blocks for line in block.splitlines()]
        for line in [*lines, *CELL.findall(text)]:
            command = re.sub(r"^(\w+=\S+ )*", "", line)
            if command.startswith("rungwise "):
                yield pytest.param(command, id=f"{page.stem}: {command}")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A directory with the files that the pages describe."""
    monkeypatch.chdir(tmp_path)
    jobs, causal = ((ROOT / "docs" / f"{page}.md").read_text() for page in ("jobs", "causal"))
    for name, page in (("my_job.yaml", jobs), ("my_model.yaml", causal)):
        yaml = re.search(r"```yaml\n(.*?)```", page, re.S)
        assert yaml
        (tmp_path / name).write_text(yaml[1])
    ids = set(re.findall(r"\b(my_\w+):(\w+-v\d)", "\n".join(p.read_text() for p in PAGES)))
    for module, name in ids:
        with (tmp_path / f"{module}.py").open("a") as file:
            file.write(f"import gymnasium\ngymnasium.register({name!r}, {CARTPOLE!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for module, name in ids:
        sys.modules.pop(module, None)
        gymnasium.registry.pop(name, None)


@pytest.mark.system
@pytest.mark.parametrize("command", find_commands())
def test_documented_command_is_accepted(command, project):
    _, *words = shlex.split(command, comments=True)
    cli.parse_command(words)
