# pyright: basic
"""The simple agents of CausalOptimisation: their rank, and the oracle's score."""

import pytest
from driven_episodes import score

from envs.causal.optimisation import baselines as baselines


@pytest.mark.parametrize("family", ["linear_erdos_renyi", "hard"])
def test_the_oracle_scores_1_and_chance_0(family):
    assert score(baselines.oracle, scm=family) == pytest.approx(1, abs=1e-6)
    assert score(baselines.random_choice, scm=family) == pytest.approx(0, abs=0.08)


def test_the_rules_rank_as_they_were_measured():
    def of(agent, **fields):
        return score(agent, copies=128, **fields)

    hard = {"smallest": 6, "largest": 6}
    found = {name: of(agent, **hard) for name, agent in baselines.AGENTS.items()}
    expected = {
        "random": 0.0,
        "obs_ols": 0.45,
        "explore_then_commit": 0.40,
        "mirrored_half_probe": 0.65,
        "oracle": 1.0,
    }
    assert found == pytest.approx(expected, abs=0.12)
    linear = {"scm": "linear_erdos_renyi", "smallest": 5, "largest": 5}
    assert of(baselines.obs_ols, **linear) > 0.88
    assert of(baselines.explore_then_commit, metric="last3", **linear) > 0.97
