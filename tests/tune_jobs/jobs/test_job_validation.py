# pyright: basic
"""An environment that lacks what the algorithm needs is refused before anything starts."""

import sys

import pytest
from paths import SUPPORT

from envs.validation import InputError
from tune_jobs.jobs.job_validation import validate_job
from tune_jobs.jobs.job_yaml import make_job


@pytest.fixture(autouse=True)
def _toy_worlds(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(SUPPORT), *sys.path])


@pytest.mark.parametrize("algo", ["grpo", "dpo", "astar_po"])
def test_an_environment_that_ignores_its_seed_is_refused_for_comparing_episodes(algo):
    said = rf"{algo} needs episodes that begin alike .* Unseeded-v0 .*ppo or reinforce would work"
    with pytest.raises(InputError, match=said.replace(" Unseeded", " toy_worlds:Unseeded")):
        validate_job(make_job({"env": "toy_worlds:Unseeded-v0", "algo": algo}))


@pytest.mark.parametrize("env", ["CartPole-v1", "toy_worlds:Leaving-v0"])
def test_candidates_are_refused_where_the_same_state_cannot_be_stepped_twice(env):
    job = {"env": env, "algo": "dpo", "settings": {"pairs": "candidates"}}
    said = f"dpo needs a world whose step is a pure function.*, which {env} does not offer; ppo or"
    with pytest.raises(InputError, match=said):
        validate_job(make_job(job))


@pytest.mark.parametrize("env", ["CartPole-v1", "toy_worlds:Leaving-v0", "CausalLearning-v0"])
def test_what_can_be_compared_is_let_through(env):
    validate_job(make_job({"env": env, "algo": "grpo"}))
    validate_job(make_job({"env": env, "algo": "ppo"}))
    if env == "CausalLearning-v0":
        job = {"env": env, "algo": "dpo", "settings": {"pairs": "candidates"}}
        validate_job(make_job(job))


def test_what_is_searched_is_looked_at_trial_by_trial():
    searched = {"baseline": {"choice": ["value", "group_mean"]}}
    job = {"env": "toy_worlds:Unseeded-v0", "algo": "reinforce", "search": searched, "trials": 8}
    with pytest.raises(InputError, match="reinforce needs episodes that begin alike"):
        validate_job(make_job(job))


def test_a_sick_environment_is_told_of_its_sickness_first():
    kwargs = {"sickness": "observation"}
    job = {"env": "toy_worlds:Sick-v0", "env_kwargs": kwargs, "algo": "grpo"}
    with pytest.raises(InputError, match="`rungwise check toy_worlds:Sick-v0`"):
        validate_job(make_job(job))
