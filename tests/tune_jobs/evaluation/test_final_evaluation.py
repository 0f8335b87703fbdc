# pyright: basic
"""The median episode of an evaluation, step by step."""

from typing import Any

import numpy as np

from tune_jobs.evaluation.evaluation_world import make_world
from tune_jobs.evaluation.final_evaluation import record_median_episode
from tune_jobs.evaluation.players import play_world_episodes

LEARNING = "envs:CausalLearning-v0"


def test_sampled_model_has_no_padding_and_masks_forbidden_picks():
    world: Any = make_world(LEARNING, {"scm": "random", "smallest": 4, "largest": 9})
    action = {"choice": np.full(3, 8), "value": np.zeros(3, np.float32)}
    found = play_world_episodes(world, lambda s, o, k: action, 3, 0)
    experiment = record_median_episode(world, found, 0)
    assert 4 <= len(experiment["nodes"]) < 9
    assert {frame["caption"] for frame in experiment["frames"]} == {"at first", "nothing set"}


def test_a_choice_beyond_the_cap_is_told_as_one_that_set_nothing():
    world: Any = make_world(LEARNING, {"cap": 0.4})
    action = {"choice": np.zeros(1, np.int64), "value": np.zeros(1, np.float32)}
    experiment = record_median_episode(
        world, play_world_episodes(world, lambda s, o, k: action, 1, 0), 0
    )
    captions = [frame["caption"] for frame in experiment["frames"]]
    assert captions[1] == "X1 = 0" and "nothing set" in captions
