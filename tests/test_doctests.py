# pyright: basic
"""The examples in the docstrings of the pure modules."""

import doctest
import importlib

import pytest

MODULES = [
    "algos.actions.fused_entropy",
    "algos.actions.topk",
    "algos.advantages",
    "algos.config",
    "algos.exploration",
    "algos.losses",
    "algos.rollouts.columns",
    "algos.rollouts.rollout",
    "algos.schedules",
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted and not found.failed
