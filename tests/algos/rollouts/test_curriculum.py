# pyright: basic, reportArgumentType=false
"""A curriculum moves on when a stage is mastered, and a checkpoint knows where it stood."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import algos
from algos.rollouts.curriculum import Curriculum
from envs.contract.world import Stage
from rungwise.metrics import STAGE, STAGES_LEFT


def world(mode="max", thresholds=(0.5, 0.5, 0.5), episodes=4):
    stages = tuple(Stage(f"stage {i}", t, episodes) for i, t in enumerate(thresholds))
    return SimpleNamespace(
        stages=stages, at_stage=lambda stage: None, score_metric="won", score_mode=mode
    )


def finished(*scores, stage=0):
    return [{"won": np.array(scores, float), STAGE: np.full(len(scores), stage)}]


def test_a_stage_is_mastered_by_the_mean_of_exactly_its_episodes():
    curriculum = Curriculum(world())
    assert curriculum.record_episodes(finished(1, 1, 1)) == {STAGE: 0, STAGES_LEFT: 2}
    assert curriculum.stage == 0
    curriculum.record_episodes(finished(0))
    assert curriculum.stage == 1 and not curriculum.recent
    curriculum.record_episodes(finished(1, 0, 0, 1, stage=1))
    assert curriculum.stage == 2, "the threshold itself is enough"


def test_only_the_last_episodes_of_the_stage_count():
    curriculum = Curriculum(world())
    curriculum.record_episodes(finished(1, 1, 0, 0.4, 0.4))
    assert curriculum.stage == 0 and list(curriculum.recent) == [1, 0, 0.4, 0.4]
    curriculum.record_episodes(finished(1, 1, 1, stage=1))
    assert list(curriculum.recent) == [1, 0, 0.4, 0.4]
    curriculum.record_episodes([{"other": np.ones(3)}])
    assert list(curriculum.recent) == [1, 0, 0.4, 0.4]
    curriculum.record_episodes([*finished(0.4), *finished(0.9)])
    assert curriculum.stage == 1


@pytest.mark.parametrize(("score", "stage"), [(0.4, 1), (0.5, 1), (0.6, 0)])
def test_where_low_is_good_a_low_mean_masters_a_stage(score, stage):
    curriculum = Curriculum(world("min"))
    curriculum.record_episodes(finished(*[score] * 4))
    assert curriculum.stage == stage


def test_the_last_stage_is_never_left():
    curriculum = Curriculum(world(thresholds=(0.5, 0.5)))
    curriculum.record_episodes(finished(1, 1, 1, 1))
    assert curriculum.record_episodes(finished(1, 1, 1, 1, stage=1)) == {STAGE: 1, STAGES_LEFT: 0}
    assert curriculum.stage == 1 and list(curriculum.recent) == [1, 1, 1, 1]


def test_a_checkpoint_keeps_the_stage_and_the_scores_so_far():
    curriculum, other = Curriculum(world()), Curriculum(world())
    curriculum.record_episodes(finished(1, 1, 1, 1))
    curriculum.record_episodes(finished(1, 1, 0, stage=1))
    state = curriculum.get_state()
    assert state == {"stage": 1, "recent": [1, 1, 0]}
    other.set_state(state)
    for one in (curriculum, other):
        one.record_episodes(finished(0, stage=1))
        assert one.stage == 2


def test_without_stages_nothing_is_said():
    for own in (None, SimpleNamespace(stages=(), score_metric="won", score_mode="min")):
        curriculum = Curriculum(own)
        assert curriculum.record_episodes(finished(1, 1, 1, 1)) == {}
        assert curriculum.stage == 0 and not curriculum.recent


# In a training.

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


@pytest.mark.system
@pytest.mark.usefixtures("local_ray")
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
    for renew in (lambda: None, lambda: again.renew_environments()):
        renew()
        group: Any = again.env_runner_group
        seen = group.foreach_env_runner(
            lambda runner: runner.observation["obs"], local_env_runner=not runners
        )
        assert (np.array(seen) == 2).all(), "the first episodes are of the stage, too"
    again.train()
    assert again.flat_metrics["stage"] == 2
    again.stop()
