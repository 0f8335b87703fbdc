# pyright: basic
"""A curriculum moves on when a stage is mastered, and a checkpoint knows where it stood."""

import numpy as np
import pytest
from staged_world import Ladder, Params

import algos
from algos.rollouts.curriculum import Curriculum

pytestmark = pytest.mark.usefixtures("local_ray")

SETTINGS = {
    "num_envs": 16,
    "rollout_length": 8,
    "lr": 0.02,
    "minibatch_size": 64,
    "entropy_coef": 0.1,
    "kl_limit": 0.0,
}


def built(iterations=30, **settings):
    own = algos.get_algorithm_class("ppo").settings_class(**SETTINGS | settings)
    return algos.build_algorithm(
        "ppo", "staged_world:Ladder-v0", {}, own, iterations=iterations, seed=0
    )


def finished(scores, stage):
    return [{"won": np.array(scores), "stage": np.full(len(scores), stage)}]


def test_a_stage_ends_when_the_mean_score_reaches_its_threshold():
    curriculum = Curriculum(Ladder(Params()))
    assert curriculum.record_episodes(finished([1.0] * 39, 0)) == {"stage": 0}
    assert curriculum.stage == 0, "40 episodes are asked for"
    curriculum.record_episodes(finished([0.0] * 8, 0))
    assert curriculum.stage == 1, "32 of the last 40 is 0.8"
    curriculum.record_episodes(finished([1.0] * 40, 0))
    assert curriculum.stage == 1, "these episodes were begun in the stage before"
    curriculum.record_episodes(finished([1.0] * 40, 1))
    assert curriculum.stage == 2
    curriculum.record_episodes(finished([1.0] * 400, 2))
    assert curriculum.stage == 2, "the last stage has no next"


def test_a_world_without_stages_says_nothing_of_them():
    assert Curriculum(None).record_episodes(finished([1.0], 0)) == {}


@pytest.mark.parametrize("runners", [0, 2])
def test_training_climbs_stages_and_a_checkpoint_keeps_them(tmp_path, runners):
    algorithm = built(num_env_runners=runners)
    stages = []
    while not stages or (stages[-1] < 2 and len(stages) < 60):
        algorithm.train()
        stages.append(algorithm.flat_metrics["stage"])
    assert stages[-1] == 2 and stages == sorted(stages)
    algorithm.save_to_path(tmp_path / "saved")
    algorithm.stop()
    again = built(num_env_runners=runners)
    again.restore_from_path(tmp_path / "saved")
    again.train()
    assert again.flat_metrics["stage"] == 2
    again.stop()
