# pyright: basic, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
"""The world of an evaluation."""

from tune_jobs.evaluation.evaluation_world import make_world

LEARNING = "envs:CausalLearning-v0"


def test_only_batched_environments_have_a_world():
    assert make_world("CartPole-v1", {}) is None
    world = make_world(LEARNING, {})
    assert world is not None and world.score_metric == "excess_risk"


def test_a_curriculum_is_evaluated_at_its_last_stage():
    world = make_world("staged_world:Ladder-v0", {})
    assert world.stage == len(world.stages) - 1 > 0
