# pyright: basic
"""The Dockerfile keeps the rules that a builder would not check."""

import re
import tomllib
from pathlib import Path

import pytest

from cluster.deploy.cluster_spec import TEMPLATE_DIR

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def instructions():
    text = (TEMPLATE_DIR / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def find(instructions, kind):
    return [text for name, text in instructions if name == kind]


def test_base_image_is_pinned_to_a_patch_version(instructions):
    (base,) = find(instructions, "FROM")
    assert re.fullmatch(r"python:3\.(11|12)\.\d+-slim-\w+", base)


def test_image_runs_as_a_numbered_user_other_than_root(instructions):
    (user,) = find(instructions, "USER")
    assert user.isdecimal() and int(user) > 0
    later = instructions[instructions.index(("USER", user)) :]
    assert "RUN" not in {name for name, _ in later}


def test_entry_point_is_rungwise(instructions):
    assert find(instructions, "ENTRYPOINT") == ['["rungwise"]']


def test_torch_is_the_cpu_build_of_the_tested_version(instructions):
    assert "TORCH_BUILD=cpu" in find(instructions, "ARG")
    tested = (ROOT / "constraints.txt").read_text().split("\n")
    torch = next(line for line in tested if line.startswith("torch=="))
    assert any(torch in run for run in find(instructions, "RUN"))


def test_every_package_is_copied_and_every_extra_exists(instructions, project):
    copied = {word for text in find(instructions, "COPY") for word in text.split()[:-1]}
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {name.rstrip("*") for name in packages} <= copied
    assert all((ROOT / path).exists() for path in copied)
    extras = next(arg for arg in find(instructions, "ARG") if arg.startswith("EXTRAS="))
    known = project["project"]["optional-dependencies"]
    assert set(extras.removeprefix("EXTRAS=").split(",")) <= known.keys()


def test_dockerfile_is_part_of_the_wheel(project):
    assert "Dockerfile" in project["tool"]["setuptools"]["package-data"]["cluster.deploy"]
