# pyright: basic
"""The examples in the docstrings of pure modules are right."""

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
    "envs",
    "envs.action_masks",
    "envs.counter_rng",
    "envs.pytree",
    "envs.thoughts.proof",
    "envs.validation",
    "envs.causal.learning.reward",
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_right(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0 and result.failed == 0
