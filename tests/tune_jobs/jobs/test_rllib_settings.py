# pyright: basic, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportOperatorIssue=false
"""A job of one of RLlib's own algorithms: its settings, its search and its budget."""

import re
from dataclasses import fields

import pytest

from algos.ppo import PPOSettings
from cluster.commands.command import split_pairs
from cluster.commands.job_flags import make_job_flags
from rungwise.health import RULES
from rungwise.health.remedy import worded
from rungwise.validation import InputError
from tune_jobs.jobs.job_validation import validate_job
from tune_jobs.jobs.job_yaml import dump_job, list_changes, make_job, make_plain, parse_job
from tune_jobs.jobs.resources import list_bundles
from tune_jobs.jobs.rllib_settings import RLLIB_NAMES, describe_rllib_settings

JOB = {"env": "CartPole-v1", "algo": "rllib/PPO"}
SEARCHED = {"search": {"lr": {"loguniform": [1e-4, 1e-2]}}, "trials": 3}


def test_a_job_is_read_back_as_it_was_written():
    job = make_job(JOB | SEARCHED | {"settings": {"gamma": 0.9, "lr": [[0, 1e-3], [100, 0.0]]}})
    assert parse_job(dump_job(job), "again") == job
    assert list_changes(job)["settings"] == {"gamma": 0.9, "lr": [[0, 1e-3], [100, 0.0]]}


def test_flags_change_any_setting_of_rllib():
    flags = make_job_flags(JOB | {"settings": {"gamma": 0.9}}, "the job")
    argv = ["--settings.lr", "1e-3", "--settings.model-config", "{fcnet_hiddens: [8]}"]
    rest, pairs = split_pairs(argv, flags.pairs)
    assert not rest
    assert flags.read_fields(flags.defaults, pairs)["settings"] == {
        "gamma": 0.9,
        "lr": 1e-3,
        "model_config": {"fcnet_hiddens": [8]},
    }


def test_flags_keep_the_parts_of_a_budget_in_steps():
    job = make_job(JOB | {"algo": "rllib/DQN", "steps": 2000, "iterations": 10})
    flags = make_job_flags(make_plain(job), "the job")
    assert make_job(flags.read_fields(flags.defaults, {})) == job


@pytest.mark.parametrize(
    ("changed", "iterations"),
    [
        ({"steps": 400_000}, 100),
        ({"steps": 20_000}, 5),  # it takes 4,000 at once
        ({"steps": 20_000, "iterations": 2}, 2),
        ({"steps": 20_000, "settings": {"train_batch_size_per_learner": 500}}, 40),
        ({"steps": 2000, "algo": "rllib/DQN"}, 100),
        ({}, 100),
    ],
)
def test_steps_are_divided_into_iterations_of_whole_batches(changed, iterations):
    assert make_job(JOB | changed).iterations == iterations


def test_largest_searched_batch_decides():
    search = {"train_batch_size_per_learner": {"choice": [1000, 10_000]}}
    job = make_job(JOB | {"search": search, "trials": 2, "steps": 50_000})
    assert job.iterations == 5


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"algo": "rllib/PPOO"}, "did you mean rllib/PPO"),
        ({"settings": {"gama": 1}}, "did you mean gamma"),
        ({"settings": [1]}, "names and values"),
        ({"search": {"lrr": {"choice": [1]}}, "trials": 2}, "did you mean lr"),
        ({"search": {"num_learners": {"choice": [0, 1]}}, "trials": 2}, "same processes"),
        (SEARCHED | {"scheduler": "pbt"}, "rllib/PPO does not allow"),
        ({"steps": 3000}, "takes 4,000 at once"),
        ({"steps": 20_000, "iterations": 10}, "lower iterations"),
        ({"algo": "rllib/BC", "steps": 1000}, "takes no steps"),
        (
            {"steps": 8000, "settings": {"min_sample_timesteps_per_iteration": 9}},
            "remove min_sample",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(changed, part):
    with pytest.raises(InputError, match=part):
        make_job(JOB | changed)


def test_processes_of_a_trial_are_reserved():
    job = make_job(JOB | {"settings": {"num_env_runners": 2, "num_learners": 1}})
    assert [bundle["CPU"] for bundle in list_bundles(job)] == [1.0] * 4


def test_searched_arguments_go_to_settings_and_environment():
    job = make_job(JOB | {"env_kwargs": {"render_mode": None}})
    settings, env_kwargs = job.split_trial_config({"lr": 0.1, "env.sutton_barto_reward": True})
    assert settings == {"lr": 0.1}
    assert env_kwargs == {"render_mode": None, "sutton_barto_reward": True}


@pytest.mark.parametrize(
    "changed",
    [
        {"env": "envs:CausalLearning-v0"},
        {"algo": "rllib/SAC", "env": "EdgeSelection-v0"},
        {"algo": "rllib/DQN", "env": "FrozenLake-v1", "env_kwargs": {"is_slippery": False}},
        {"algo": "rllib/DQN", "env": "memory_worlds:TMaze-v0"},
    ],
)
def test_any_environment_of_our_jobs_is_accepted(changed):
    validate_job(make_job(JOB | changed))


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"algo": "rllib/DQN", "env": "Pendulum-v1"}, "has no network for"),
        ({"env": "agent_games:Couriers-v0"}, "game of several agents"),
        ({"env_kwargs": {"size": 3}}, "has no argument size"),
        ({"settings": {"minibatch_size": 5000}}, "minibatch_size"),
    ],
)
def test_what_rllib_cannot_train_is_refused_before_the_start(changed, part):
    with pytest.raises(InputError, match=part):
        validate_job(make_job(JOB | changed))


@pytest.mark.parametrize(
    ("algo", "names"),
    [
        ("rllib/PPO", {"lr": "lr", "clip": "clip_param", "epochs": "num_epochs"}),
        ("rllib/SAC", {"lr": "actor_lr", "gamma": "gamma", "grad_clip": "grad_clip"}),
        ("rllib/DQN", {"lr": "lr", "gamma": "gamma", "grad_clip": "grad_clip"}),
    ],
)
def test_settings_have_the_names_that_the_algorithm_reads(algo: str, names: dict[str, str]):
    found = describe_rllib_settings(algo, {}).names
    assert names.items() <= found.items()
    assert ("entropy_coef" in found) == (algo == "rllib/PPO")


def test_values_are_those_of_the_job_or_the_defaults():
    found = describe_rllib_settings("rllib/PPO", {"lr": 0.01})
    assert found.values["lr"] == 0.01
    assert found.values["clip"] == 0.3
    assert describe_rllib_settings("rllib/SAC", {"lr": 0.01}).names["lr"] == "lr"


OF_OURS = ("theatre", "v_star_", "advantages_flat")
"""Beginnings of symptoms that only algorithms or environments of ours can have."""


@pytest.mark.parametrize("symptom", [name for name in RULES if not name.startswith(OF_OURS)])
@pytest.mark.parametrize("algo", ["rllib/SAC", "rllib/PPO"])
def test_no_remedy_names_a_setting_that_the_algorithm_lacks(symptom: str, algo: str):
    other = describe_rllib_settings(algo, {})
    said = worded(RULES[symptom].remedy, other.values, other=other)
    ours = {field.name for field in fields(PPOSettings)} | {"group_size", "starts"}
    named = set(re.findall(r"`(\w+)", said)) & ours
    assert named <= set(other.names.values())
    lacking = set(RLLIB_NAMES) - set(other.names)
    assert not [name for name in lacking if f"`{RLLIB_NAMES[name][0]}" in said]
