# pyright: basic
"""What a user writes of a job, from Python as from YAML: checked, merged and built."""

import pytest

from algos.ppo import PPOSettings
from rungwise.validation import InputError
from tune_jobs.jobs.given_fields import merge_fields
from tune_jobs.jobs.job import Job, make_job
from tune_jobs.jobs.job_yaml import load_fields, load_job
from tune_jobs.jobs.search_space import Space


def test_a_job_in_python_takes_dictionaries():
    search = {"lr": {"loguniform": [1e-5, 1e-2]}, "hidden": {"choice": [[32], [64]]}}
    given = {"env": "CartPole-v1", "trials": 2, "points": [{"hidden": [32]}], "search": search}
    given["settings"] = {"lr": 1e-3, "hidden": [64]}
    job = Job(**given)
    assert job.settings == PPOSettings(lr=1e-3, hidden=(64,))
    assert job.search["lr"] == Space("loguniform", (1e-5, 1e-2))
    assert job == make_job(given)


@pytest.mark.parametrize(
    "part",
    [
        {"settings": {"lrr": 1e-3}},
        {"settings": {"lr": "fast"}},
        {"settings": 5},
        {"search": {"lrr": {"uniform": [0, 1]}}},
        {"search": {"lr": {"unif": [0, 1]}}},
        {"search": {"lr": 5}},
        {"search": 5},
        {"points": 5},
        {"algo": "pqo", "settings": {"lr": 1e-3}},
        {"algo": "rllib/PPO", "settings": {"lrr": 1e-3}},
    ],
)
def test_a_mistake_has_the_same_sentence_in_python(part):
    with pytest.raises(InputError) as from_fields:
        make_job({"env": "CartPole-v1", **part})
    with pytest.raises(InputError) as from_python:
        Job(env="CartPole-v1", **part)
    assert str(from_python.value) == str(from_fields.value)


def test_settings_of_another_algorithm_are_refused():
    with pytest.raises(InputError, match=r"settings must be .* for algo 'reinforce'"):
        Job(env="CartPole-v1", algo="reinforce", settings=PPOSettings(lr=0.5))


def test_files_named_in_a_job_are_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "my.yaml").write_text("nodes: {A: {}}")
    monkeypatch.chdir(tmp_path)
    job = make_job({"env": "CausalLearning-v0", "env_kwargs": {"scm": "my.yaml", "largest": 5}})
    assert job.env_kwargs == {"scm": str(tmp_path / "my.yaml"), "largest": 5}
    assert make_job({"env": "CausalLearning-v0", "env_kwargs": {"scm": "ace5"}}).env_kwargs == {
        "scm": "ace5"
    }
    searched = make_job(
        {"env": "CausalLearning-v0", "search": {"env.scm": {"choice": ["my.yaml"]}}}
    )
    assert searched.search["env.scm"].values == (str(tmp_path / "my.yaml"),)
    # What others' environments take for a name is theirs.
    job = make_job({"env": "CartPole-v1", "env_kwargs": {"render_mode": "my.yaml"}})
    assert job.env_kwargs == {"render_mode": "my.yaml"}


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
    job = make_job(merge_fields(load_fields(preset), fields))
    assert (job.steps, job.iterations) == (steps, iterations)


def test_another_algorithm_has_its_own_settings_and_search():
    job = make_job(merge_fields(load_fields("acrobot"), {"algo": "reinforce"}))
    assert job.algo == "reinforce" and job.steps == load_job("acrobot").steps
    assert not job.search and not job.points


@pytest.mark.parametrize("preset", ["acrobot", "lunarlander"])
def test_a_budget_of_steps_is_kept_for_an_algorithm_of_rllib(preset):
    job = make_job(merge_fields(load_fields(preset), {"algo": "rllib/PPO"}))
    assert job.steps == load_job(preset).steps


def test_settings_are_replaced_one_by_one():
    preset = load_job("acrobot")
    job = make_job(merge_fields(load_fields("acrobot"), {"settings": {"gamma": 0.5}}))
    assert job.training.gamma == 0.5 and job.training.lr == preset.training.lr


def test_another_environment_has_its_own_arguments_and_score():
    own = {"env": "Acrobot-v1", "env_kwargs": {"render_mode": "rgb_array"}, "metric": "kl"}
    own |= {"evaluation_env_kwargs": {"render_mode": None}, "mode": "min", "target": -100}
    job = make_job(merge_fields(own, {"env": "CartPole-v1"}))
    assert (job.env, job.env_kwargs, job.evaluation_env_kwargs) == ("CartPole-v1", {}, {})
    assert (job.metric, job.mode, job.target) == ("", "", None)
    given = {"env": "CartPole-v1", "target": 475.0}
    assert make_job(merge_fields(own, given)).target == 475
