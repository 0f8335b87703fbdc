# pyright: basic
"""The median episode of an evaluation, step by step."""

from typing import Any

import numpy as np

from tune_jobs.evaluation.evaluation_world import make_world
from tune_jobs.evaluation.final_evaluation import record_median_episode
from tune_jobs.evaluation.players import play_world_episodes


def test_the_episode_with_the_median_score_is_shown():
    world: Any = make_world("envs:CausalLearning-v0", {})
    rule = world.baselines["random"]
    played = play_world_episodes(world, lambda s, o, k: rule(world, s, k), 5, 3)
    experiment = record_median_episode(world, played, 3)
    median = int(np.argsort(played.metrics["excess_risk"])[2])
    assert experiment["seed"] == 3 + median
    assert len(experiment["frames"]) == played.lengths[median] + 1


def test_a_world_without_traces_shows_no_episode():
    world: Any = make_world("staged_world:Ladder-v0", {})
    played = play_world_episodes(world, lambda s, o, k: np.zeros(3, int), 3, 0)
    assert record_median_episode(world, played, 0) == {}
