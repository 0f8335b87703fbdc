# pyright: basic
"""What a job sets that differs from the defaults."""

import json

import pytest

from tune_jobs.jobs.job_yaml import format_changes, list_changes, list_presets, load_job, make_job


def test_only_what_differs_is_listed_by_part():
    job = make_job(
        {
            "env": "CartPole-v1",
            "env_kwargs": {"sutton_barto_reward": True},
            "settings": {"lr": 0.001, "gamma": 0.99, "hidden": [32]},
            "search": {"clip": {"uniform": [0.1, 0.3]}},
            "iterations": 30,
            "health": {"hung": "off"},
        }
    )
    changes = list_changes(job)
    assert changes == {
        "settings": {"lr": 0.001, "hidden": [32]},
        "env_kwargs": {"sutton_barto_reward": True},
        "search": {"clip": {"uniform": [0.1, 0.3]}},
        "health": {"hung": "off"},
        "job": {"iterations": 30},
    }
    assert format_changes(changes)[:2] == [
        "settings: lr 0.001, hidden [32]",
        "env_kwargs: sutton_barto_reward True",
    ]
    assert "search: clip uniform [0.1, 0.3]" in format_changes(changes)


@pytest.mark.parametrize(("number", "shown"), [(8, "r0 warn, r1 warn"), (9, "warn for 9 of them,")])
def test_a_value_that_many_names_share_is_written_once(number, shown):
    health = {f"r{i}": "warn" for i in range(number)} | {"hung": "off"}
    (line,) = format_changes({"health": health})
    assert line.startswith(f"health: {shown}") and line.endswith(", hung off")


def test_environment_variables_of_a_program_are_listed_by_name():
    variables = {"WANDB_API_KEY": "s3cret", "MODE": "fast"}
    job = make_job({"command": "python train.py", "environment": variables})
    (line,) = [line for line in format_changes(list_changes(job)) if "settings" in line]
    assert line.endswith("environment WANDB_API_KEY *** MODE ***")


def test_a_job_of_defaults_lists_nothing():
    assert list_changes(make_job({"env": "CartPole-v1"})) == {}


@pytest.mark.parametrize("name", list_presets())
def test_the_changes_of_every_preset_fit_into_an_event_row(name):
    job = load_job(name)
    changes = list_changes(job)
    assert json.loads(json.dumps(changes)) == changes
    assert ("settings" in changes) == (job.settings != type(job.settings)())
