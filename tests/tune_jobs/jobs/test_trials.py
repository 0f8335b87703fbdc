"""Seeds of the trials of a job, and the trial with its own settings."""

import itertools
import json
from typing import Any

import pytest

from tune_jobs.jobs.job_yaml import dump_job, make_job, parse_job
from tune_jobs.jobs.trials import add_default_point, derive_trial_seed

SWEEP: dict[str, Any] = {
    "env": "CartPole-v1",
    "trials": 4,
    "search": {"lr": {"loguniform": [1e-4, 1e-2]}, "activation": {"choice": ["tanh", "relu"]}},
    "settings": {"lr": 0.002},
}
PROGRAM = {
    "command": "python t.py {lr} {out}",
    "progress": "step",
    "budget": 10,
    "trials": 4,
    "search": {"lr": {"loguniform": [1e-4, 1e-2]}},
}


@pytest.mark.parametrize("changed", [{}, {"searcher": "optuna"}])
def test_the_settings_of_the_job_are_the_first_trial(changed):
    job = add_default_point(make_job(SWEEP | changed))
    first = job.sample_configs()[0]
    assert first == {"lr": 0.002, "activation": "tanh"}
    assert len(job.name_trials()) == 4
    assert add_default_point(job) == job, "once is enough"
    assert parse_job(dump_job(job), "again") == job


def test_a_trial_is_the_same_from_the_log():
    spaces = {"hidden": {"choice": [[32, 32], [64]]}, "lr": {"loguniform": [1e-4, 1e-2]}}
    job = make_job(SWEEP | {"search": spaces})
    config = job.sample_configs()[0]
    logged = json.loads(json.dumps(config))
    assert logged != config and job.make_trial_settings(logged) == job.make_trial_settings(config)


def test_points_of_the_user_come_first():
    job = add_default_point(make_job(SWEEP | {"points": [{"lr": 0.005}]}))
    assert [config["lr"] for config in job.sample_configs()[:2]] == [0.005, 0.002]


@pytest.mark.parametrize(
    "about",
    [
        SWEEP | {"trials": 1},
        SWEEP | {"search": {}, "trials": 1},
        SWEEP | {"searcher": "grid"},
        SWEEP | {"settings": {"lr": 0.05}},
        SWEEP | {"search": {"activation": {"choice": ["relu"]}}},
        SWEEP | {"points": [{"lr": 0.002, "activation": "tanh"}]},
        SWEEP | {"points": [{"lr": 0.001}] * 4},
        SWEEP | {"points": [{"lr": 0.001}] * 3, "repeats": 1},
        SWEEP | {"trials": 2, "search": {"activation": {"choice": ["tanh", "relu"]}}},
        SWEEP | {"search": {"env.sutton_barto_reward": {"choice": [True, False]}}},
        PROGRAM,
    ],
)
def test_a_search_without_room_or_place_for_them_stays_as_it_is(about):
    job = make_job(about)
    assert add_default_point(job) == job


def test_arguments_of_the_environment_have_their_defaults():
    search = {"env.rows": {"int": [2, 50]}, "lr": {"loguniform": [1e-5, 1e-1]}}
    about = {"env": "CausalLearning-v0", "trials": 4, "search": search}
    default = add_default_point(make_job(about)).sample_configs()[0]
    given = add_default_point(make_job(about | {"env_kwargs": {"rows": 7}})).sample_configs()[0]
    assert given == default | {"env.rows": 7} and default["env.rows"] >= 2


def test_settings_of_rllib_count_where_they_are_given():
    about = {"env": "CartPole-v1", "algo": "rllib/PPO", "trials": 4}
    about |= {"search": {"lr": {"loguniform": [1e-5, 1e-2]}}}
    assert add_default_point(make_job(about)).points == []
    assert add_default_point(make_job(about | {"settings": {"lr": 1e-3}})).points == [{"lr": 1e-3}]


def test_every_agent_of_every_trial_has_a_seed_below_2_to_the_31():
    jobs = (0, 1, 4_294_968, 20261124, 2**30 - 1)
    seeds = [
        derive_trial_seed(*parts) for parts in itertools.product(jobs, (0, 7, 1000), (0, 1, 2))
    ]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 0 and max(seeds) < 2**31
    assert derive_trial_seed(3, 1, 2) == derive_trial_seed(3, 1, 2)
