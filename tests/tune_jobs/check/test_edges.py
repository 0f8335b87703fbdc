# pyright: basic
"""What was wrong in the edges post-mortem is found in the real environment before any training."""

import pytest
from checks import check, get_severities
from sick_objectives import replace_terms

pytest.importorskip("pyamg")

from algos.ppo import PPO, PPOSettings
from tune_jobs.check.check_target import CheckTarget

pytestmark = pytest.mark.system

STEP_S = 0.2
"""Simulated time of a step of all copies, which do much."""
FIELDS = {"objective": "fsai", "action": "edges", "observation": "graph", "size": 6, "solve": False}


def found(algorithm, *probes, look_s=0.02):
    settings = PPOSettings(model="graph", hidden=(16,))
    target = CheckTarget("envs:EdgeSelection-v0", FIELDS, settings=settings, algorithm=algorithm)
    answer = check(target, *probes, look_s=look_s)
    assert answer["judged"] == list(probes)
    return get_severities(answer)


def test_the_sampler_that_selects_every_edge_is_found(monkeypatch):
    def everything(picks, instance, kept):
        return ~kept

    monkeypatch.setattr("envs.edges.world.select_picked_edges", everything)
    assert found(None, "dependence", look_s=STEP_S) == {"reward_blind_to_action": "stop"}


def test_entropy_without_a_gradient_is_found():
    detached = replace_terms(PPO, lambda terms, _: {"entropy": terms["entropy"].detach()})
    assert found(detached, "gradients") == {"entropy_without_gradient": "warn"}


def test_the_world_and_the_policy_as_they_are_are_left_in_peace():
    assert found(None, "dependence", look_s=STEP_S) == {}
    assert found(None, "sampler", "actions", "credit", "gradients") == {}
