# pyright: basic
"""Doctor on what a stock RLlib run under Ray Tune leaves behind, made here and now."""

import json
import math
from typing import Any

import gymnasium
import pytest
from foreign_logs import (
    RLLIB,
    diagnose_log,
    read_rllib_results,
    write_results,
)

from rungwise.judging.doctor import doctor
from rungwise.logs.read_logs import read_logs
from rungwise.metrics import METRICS

pytestmark = pytest.mark.system

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


def test_rllib_results_are_read_under_our_names():
    log = read_logs(RLLIB)[0]
    first = read_rllib_results()[0]
    learner = first["learners"]["default_policy"]
    assert len(log.rows) == 8
    assert log.rows[0]["iteration"] == 1
    assert log.rows[0]["return_mean"] == first["env_runners"]["episode_return_mean"]
    assert log.rows[0]["episodes"] == 19
    assert log.rows[0]["entropy"] == learner["entropy"]
    assert log.rows[0]["value_loss"] == learner["vf_loss_unclipped"] / 2
    assert log.rows[0]["grad_norm"] == learner["gradients_default_optimizer_global_norm"]
    assert "learners/default_policy/total_loss" in log.unmapped
    assert set(log.rows[0]) <= {*METRICS, "iteration"}


def test_nan_where_rllib_has_nothing_to_say_is_no_sickness(tmp_path):
    lines = read_rllib_results()
    lines[3]["env_runners"] |= {"num_episodes": 0, "episode_return_mean": math.nan}
    learner = lines[5]["learners"]["default_policy"]
    learner |= {"num_module_steps_trained": 0, "policy_loss": math.nan, "total_loss": math.nan}
    path = write_results(tmp_path / "result.json", lines)
    rows = read_logs(path)[0].rows
    assert "return_mean" not in rows[3]
    assert "policy_loss" not in rows[5]
    assert "not_finite" not in diagnose_log(path)


@pytest.mark.parametrize("name", ["policy_loss", "entropy", "total_loss"])
def test_nan_in_any_loss_of_an_update_is_a_finding(tmp_path, name):
    lines = read_rllib_results()
    for line in lines[6:]:
        line["learners"]["default_policy"][name] = math.nan
    assert diagnose_log(write_results(tmp_path / "result.json", lines))["not_finite"] == ("stop", 7)


def test_a_kl_of_zero_in_every_row_was_not_computed(tmp_path):
    lines = read_rllib_results()
    for line in lines:
        line["learners"]["default_policy"]["mean_kl_loss"] = 0.0
    answer = doctor(write_results(tmp_path / "result.json", lines))
    assert "kl" in answer["not_judged"]["kl_runaway"]


def test_the_old_stack_of_rllib_smooths_its_returns(tmp_path):
    stats = {"entropy": 0.6, "kl": 0.01, "vf_loss": 4.0, "cur_lr": 1e-3}
    lines = [
        {
            "training_iteration": i,
            "timesteps_total": 500 * i,
            "env_runners": {
                "episode_reward_mean": math.nan if i == 1 else 20.0,
                "episode_return_mean": math.nan if i == 1 else 20.0,
                "num_episodes": 0 if i == 1 else 4,
            },
            "info": {"learner": {"default_policy": {"learner_stats": stats}}},
            "config": {"lr": 1e-3},
        }
        for i in range(1, 4)
    ]
    log = read_logs(write_results(tmp_path / "result.json", lines))[0]
    expected = {"iteration": 2, "return_mean_100": 20.0, "value_loss": 2.0, "kl": 0.01, "lr": 1e-3}
    assert expected.items() <= log.rows[1].items()
    assert "return_mean" not in log.rows[1]
    assert "return_mean_100" not in log.rows[0]
    assert log.score == "return_mean_100"
    assert log.unmapped == ["env_runners/episode_return_mean"]


@pytest.mark.parametrize(("gain", "found"), [(0.01, False), (0.0, True)])
def test_self_play_of_zero_sum_is_not_taken_for_a_constant_reward(tmp_path, gain, found):
    """The return of an episode is the sum over agents."""
    sums = dict.fromkeys(("mean", "min", "max"), 0.0)
    results = [
        {
            "training_iteration": i + 1,
            "env_runners": {
                "num_episodes": 40,
                "episode_len_mean": 30.0 + i % 3,
                **{f"episode_return_{name}": value for name, value in sums.items()},
                "module_episode_returns_mean": {"main": 0.1 + gain * i, "old": -0.1 - gain * i},
            },
            "learners": {"main": {"policy_loss": 0.1, "entropy": 1.9 - 0.01 * i}},
        }
        for i in range(60)
    ]
    (tmp_path / "result.json").write_text("\n".join(map(json.dumps, results)))
    assert bool({"constant_reward", "no_improvement"} & warned(tmp_path)) is found
