# pyright: basic
"""Flags that several commands share."""

import pytest

from cluster.commands.diagnose import Check
from rungwise.validation import InputError


@pytest.mark.parametrize(
    "words", [["--env-kwargs", "goals", "50"], ["--env-kwargs.goals", "50"]], ids=["pair", "dotted"]
)
def test_environment_arguments_are_read_as_yaml(words):
    assert Check.parse(["shop", *words]).read_env_kwargs() == {"goals": 50}


def test_an_environment_argument_that_is_not_yaml_is_refused():
    with pytest.raises(InputError, match="not YAML"):
        Check.parse(["shop", "--env-kwargs", "goals", "[1"]).read_env_kwargs()
