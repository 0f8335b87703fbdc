# pyright: basic
"""The catalogue of metrics: whatever is reported is in it, and the other way round."""

import json
import re

import gymnasium
import pytest
import small

from envs.causal.learning.reward import NAMES
from rungwise.metrics import GROUPS, METRICS

CAUSAL = "envs:CausalLearning-v0"
ALL_TERMS = {"reward": dict.fromkeys(NAMES, 1.0)}

EVERYTHING = {
    "ppo": {"diversity_coef": 0.1, "kl_coef": 0.1, "warm_start": "random"},
    "reinforce": {"baseline": "leave_one_out", "num_envs": 4, "reference_kl_coef": 0.1},
    "grpo": {"num_envs": 4, "reference_kl_coef": 0.1, "temperature": 1.5},
    "dpo": {"num_envs": 4, "pairs": "candidates", "entropy_coef": 0.1},
    "astar_po": {"num_envs": 4, "loss": "clipped_pg"},
}
"""Settings with which the algorithms together report whatever there is to report."""
REMEMBERING = {"memory": "gru", "sequence_length": 4, "normalise_observations": True}


@pytest.mark.usefixtures("local_ray")
def test_every_metric_is_in_the_catalogue_or_the_world():
    env = gymnasium.make_vec(CAUSAL, 1, "vector_entry_point")
    own = set(env.unwrapped.world.episode_metrics)  # type: ignore[attr-defined]
    reported: set[str] = set()
    for algo, changed in EVERYTHING.items():
        chosen = {"rollout_length": 25, **changed}
        with small.algorithm(CAUSAL, ALL_TERMS, algo=algo, **chosen) as algorithm:
            result, flat = algorithm.train(), algorithm.flat_metrics
        assert set(flat) <= set(METRICS) | own, algo
        assert own and own <= set(flat), algo
        assert json.dumps(flat)
        assert all(result[name] == value for name, value in flat.items())
        reported |= set(flat)
    # What only other environments have: goals, thoughts, values that can lie outside of their
    # bounds, the stages of a curriculum, and several agents.
    # A network with encoders and a memory, too.
    others = {"toy_worlds:Reaching-v0": {}, "staged_world:Ladder-v0": {}}
    others |= {"agent_games:Couriers-v0": {}, "memory_worlds:Positions-v0": REMEMBERING}
    for other, changed in others.items():
        with small.algorithm(other, **changed) as algorithm:
            algorithm.train()
            reported |= set(algorithm.flat_metrics) & set(METRICS)
    assert reported <= set(METRICS) | own
    # Read from logs of other tools alone.
    elsewhere = {"action_std", "exploration_rate", "gamma", "held_out_return_mean"}
    elsewhere |= {"grad_norm_likelihood"}  # of model thinker alone: see test_thoughts_shared
    elsewhere |= {"v_star_failed_fraction"}  # of worlds that report success: see test_v_star
    elsewhere |= {"unfinished_return_mean"}  # of very long episodes: see test_unfinished_episodes
    elsewhere |= {"scored_reward_mean"}  # of trials: see test_scoring
    elsewhere |= {"warm_up_steps"}  # of RLlib's algorithms: see test_rllib_agent
    missing = set(METRICS) - reported - elsewhere
    assert not missing, f"promised, but never reported: {missing}"


def test_a_unit_is_a_unit_and_a_meaning_says_more():
    units = {metric.unit for metric in METRICS.values()}
    assert units == {
        *("", "count", "factor", "fraction", "half ranges", "loss", "nats", "nats or squares"),
        *("norm", "number", "rate", "reward", "reward^2", "s", "shares", "steps", "steps/s"),
        *("text", "weight"),
    }
    assert all(len(metric.meaning) > len(metric.unit) for metric in METRICS.values())


def test_each_beginning_is_that_of_a_metric():
    starts = [start for *_, row in GROUPS for start in row.split("|")]
    assert [s for s in starts if not any(re.match(s, name) for name in METRICS)] == []
