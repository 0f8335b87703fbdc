# pyright: basic
"""A preset with fields replaced, as a request to the service gives them."""

import pytest

from tune_jobs.jobs.job_yaml import load_job, make_job
from tune_jobs.jobs.replaced_fields import replace_fields


@pytest.mark.parametrize(
    ("preset", "fields", "steps", "iterations"),
    [
        ("acrobot", {"steps": 20_000}, 20_000, 19),
        ("acrobot", {"iterations": 3}, 0, 3),
        ("acrobot", {"settings": {"num_envs": 4}}, 200_000, 195),
        ("cartpole", {"steps": 20_480}, 20_480, 5),
        ("cartpole", {"iterations": 7, "grace": 1}, 0, 7),
    ],
)
def test_a_budget_replaces_that_of_the_other_unit(preset, fields, steps, iterations):
    job = make_job(replace_fields(load_job(preset), fields))
    assert (job.steps, job.iterations) == (steps, iterations)


def test_another_algorithm_has_its_own_settings_and_search():
    job = make_job(replace_fields(load_job("acrobot"), {"algo": "reinforce"}))
    assert job.algo == "reinforce" and job.steps == load_job("acrobot").steps
    assert not job.search and not job.points


def test_settings_are_replaced_one_by_one():
    preset = load_job("acrobot")
    job = make_job(replace_fields(preset, {"settings": {"gamma": 0.5}}))
    assert job.training.gamma == 0.5 and job.training.lr == preset.training.lr


def test_another_environment_has_its_own_arguments_and_score():
    own = {"env": "Acrobot-v1", "env_kwargs": {"render_mode": "rgb_array"}, "metric": "kl"}
    job = make_job(replace_fields(make_job(own), {"env": "CartPole-v1"}))
    assert (job.env, job.env_kwargs, job.metric) == ("CartPole-v1", {}, "")
