# pyright: basic, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
"""The world of an evaluation, and the arguments that choose a causal model."""

import pytest

from rungwise.validation import InputError
from tune_jobs.evaluation.evaluation_world import make_scm_kwargs, make_world

LEARNING = "envs:CausalLearning-v0"


def test_only_batched_environments_have_a_world():
    assert make_world("CartPole-v1", {}) is None
    world = make_world(LEARNING, {})
    assert world is not None and world.score_metric == "excess_risk"


def test_a_curriculum_is_evaluated_at_its_last_stage():
    world = make_world("staged_world:Ladder-v0", {})
    assert world.stage == len(world.stages) - 1 > 0


def test_a_model_resets_what_belongs_to_another_one():
    changed = make_scm_kwargs(
        "toy_graph", "envs:CausalOptimisation-v0", {"target": "X", "pool": ""}
    )
    assert changed["scm"] == "toy_graph" and changed["target"] == ""
    assert "pool" not in changed


def test_an_environment_without_models_refuses_one():
    with pytest.raises(InputError, match=r"--scm .* CartPole-v1"):
        make_scm_kwargs("hard", "CartPole-v1")
