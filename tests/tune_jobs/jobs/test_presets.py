# pyright: basic
"""Properties that several presets must share."""

from functools import partial

import pytest

from envs.causal.optimisation.params import Params as CausalOptimisationParams
from envs.factory import make_params
from envs.shopping.params import Params as ShoppingParams
from tune_jobs.evaluation.scoring import resolve_metric
from tune_jobs.jobs.job_yaml import list_presets, load_job

SHOPS = [name for name in list_presets() if name.startswith("shop")]


def test_no_two_folders_have_a_preset_of_the_same_name():
    names = list_presets()
    assert len(names) == len(set(names)) > 30


def test_each_preset_that_is_searched_has_trials_to_compare():
    jobs = {name: load_job(name) for name in list_presets()}
    assert not [name for name, job in jobs.items() if job.search and job.trials == 1]


@pytest.mark.parametrize("name", SHOPS)
def test_a_shop_looks_at_goals_that_training_does_not_use(name):
    job = load_job(name)
    trained = make_params(ShoppingParams, job.env_kwargs)
    held_out = make_params(ShoppingParams, job.env_kwargs | job.evaluation_env_kwargs)
    # No family of products is in two splits (tests/envs/shopping/test_goals.py).
    assert (trained.split, held_out.split) == ("train", "test")
    assert 0 < job.held_out_interval <= job.iterations / 3


def test_the_curriculum_differs_from_acbo_by_its_training_alone():
    plain, curriculum = load_job("acbo"), load_job("acbo-curriculum")
    assert curriculum.settings == plain.settings
    assert (curriculum.iterations, curriculum.search) == (plain.iterations, plain.search)
    judged = curriculum.env_kwargs | curriculum.evaluation_env_kwargs
    world = partial(make_params, CausalOptimisationParams)
    assert world(judged) == world(plain.env_kwargs)
    assert world(curriculum.env_kwargs).curriculum
    assert resolve_metric(curriculum) == ("held_out_episode_mean", "max")
    assert all(rung % curriculum.held_out_interval == 0 for rung in curriculum.rungs)
