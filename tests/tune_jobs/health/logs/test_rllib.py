# pyright: basic
"""Doctor on what a stock RLlib run under Ray Tune leaves behind, made here and now."""

import json
from typing import Any

import gymnasium
import pytest

from tune_jobs.health.doctor import doctor

ITERATIONS = 10


@pytest.fixture(scope="module")
def trials(local_ray, tmp_path_factory):
    """The logs of two trials of one experiment, by what an upright step is paid."""
    from ray import tune
    from ray.rllib.algorithms.ppo import PPO, PPOConfig
    from ray.tune.registry import register_env

    def paid(given):
        env = gymnasium.make("CartPole-v1")
        return gymnasium.wrappers.TransformReward(env, lambda reward: given["pay"] * reward)

    register_env("PaidCartPole", paid)
    place = tmp_path_factory.mktemp("experiment")
    config: Any = (
        PPOConfig()
        .environment("PaidCartPole", env_config={"pay": tune.grid_search([0.0, 1.0])})
        .env_runners(num_env_runners=0, num_envs_per_env_runner=4)
        .training(train_batch_size=200, minibatch_size=100, num_epochs=4, lr=2e-3)
        .debugging(seed=0, log_level="ERROR")
    )
    run = tune.RunConfig(
        storage_path=str(place), stop={"training_iteration": ITERATIONS}, verbose=0
    )
    tune.Tuner(PPO, param_space=config, run_config=run).fit()
    found = {}
    for params in place.rglob("params.json"):
        pay = json.loads(params.read_text())["env_config"]["pay"]
        found[pay] = params.parent
    return place, found


def warned(path):
    return {f["symptom"] for f in doctor(path)["findings"] if f["severity"] != "note"}


def test_a_run_that_is_paid_nothing_is_told_from_one_that_learns(trials):
    _, places = trials
    assert "constant_reward" in warned(places[0.0])
    assert warned(places[1.0]) == set()


def test_a_whole_experiment_is_judged_trial_by_trial(trials):
    place, places = trials
    answer = doctor(place)
    assert {log["format"] for log in answer["logs"]} == {"Ray Tune result.json"}
    assert [log["rows"] for log in answer["logs"]] == [ITERATIONS, ITERATIONS]
    assert all({f["log"]} < {str(p.relative_to(place)) for p in places.values()}
               for f in answer["findings"])  # fmt: skip


@pytest.mark.parametrize("name", ["progress.csv", "result.json"])
def test_each_of_tunes_files_gives_the_same_findings(trials, name):
    _, places = trials
    assert warned(places[0.0] / name) == warned(places[0.0])
    assert warned(places[1.0] / name) == set()
