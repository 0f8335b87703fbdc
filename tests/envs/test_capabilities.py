# pyright: basic
"""Worlds say what they can do, and a capability that changes a world returns a copy."""

from typing import Any

import numpy as np
import pytest
from small_reader import UNTAUGHT, small
from staged_world import Ladder
from staged_world import Params as LadderParams

from envs import capabilities, counter_rng
from envs.causal.learning.params import Params as LearningParams
from envs.causal.learning.world import CausalLearning
from envs.causal.optimisation.params import Params as OptimisationParams
from envs.causal.optimisation.world import CausalOptimisation

KEYS = counter_rng.make_keys(0, 3)
PROTOCOLS = [name for name in vars(capabilities) if name.startswith("Supports")]


def list_capabilities(world: Any) -> set[str]:
    return {name for name in PROTOCOLS if isinstance(world, getattr(capabilities, name))}


def test_a_minimal_world_supports_only_what_it_defines():
    assert list_capabilities(Ladder(LadderParams())) == {"SupportsCurriculum"}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda: CausalLearning(LearningParams()),
            {
                "SupportsEpisodeTrace",
                "SupportsLookaheadCost",
                "SupportsNodeLosses",
                "SupportsRewardPrediction",
                "SupportsRuleComparison",
            },
        ),
        (
            lambda: CausalOptimisation(OptimisationParams()),
            {
                "SupportsCurriculum",
                "SupportsEpisodeTrace",
                "SupportsLookaheadCost",
                "SupportsRuleComparison",
            },
        ),
        (
            lambda: small(UNTAUGHT),
            {
                "SupportsEpisodeTrace",
                "SupportsEvaluationMetrics",
                "SupportsExamples",
                "SupportsPolicyWeights",
                "SupportsTeacherWeights",
            },
        ),
    ],
    ids=["learning", "optimisation", "thoughts"],
)
def test_the_capabilities_of_a_family(make, expected, monkeypatch, tmp_path):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path))
    assert list_capabilities(make()) == expected


def test_a_stage_makes_a_copy_and_leaves_the_world_as_it_is():
    world = CausalOptimisation(OptimisationParams(curriculum=True))
    later = world.at_stage(2)
    assert np.all(later.reset(KEYS)[0].stage == 2)
    assert np.all(world.reset(KEYS)[0].stage == 0)
