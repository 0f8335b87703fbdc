# pyright: basic
"""Commands with placeholders."""

import math

import pytest

from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.jobs.program_settings import (
    ProgramSettings,
    check_placeholders,
    fill_command,
    name_program,
)
from tune_jobs.jobs.program_validation import validate_program_job


def test_placeholders_are_filled_in_word_by_word():
    settings = ProgramSettings(
        command="python 'my train.py' --lr={lr} --name {name} {json} --out {out}",
        resume="--load {checkpoint}/last.pt",
    )
    values = {"lr": 3e-05, "name": "a b; rm -rf x", "json": '{"k": 1}', "out": "runs/00"}
    words = ["python", "my train.py", "--lr=3e-05", "--name", "a b; rm -rf x", '{"k": 1}']
    words += ["--out", "runs/00"]
    assert fill_command(settings, values) == words
    continued = fill_command(settings, values | {"checkpoint": "c"}, continues=True)
    assert continued == [*words, "--load", "c/last.pt"]


@pytest.mark.parametrize(
    ("fields", "searched", "message"),
    [
        ({"command": "train {lrr}"}, {"lr": 0}, r"placeholder 'lrr'.*mean lr"),
        ({"command": "train {seed}"}, {"lr": 0}, r"lr is searched, but .*\{lr\}"),
        ({"command": "t", "resume": "--load last"}, {}, r"write \{checkpoint\}"),
        ({"command": "t", "patience_s": 0}, {}, "patience_s"),
        ({"command": "t {out}"}, {"out": 0}, "out is searched, but .*call it otherwise"),
        ({"command": "t \0"}, {}, "zero byte"),
        ({"command": "t", "environment": {"A=B": "c"}}, {}, "environment.A=B is 'c'"),
        ({"command": "t", "environment": {"A": "\0"}}, {}, "zero byte"),
    ],
)
def test_what_does_not_fit_the_search_is_refused(fields, searched, message):
    with pytest.raises(InputError, match=message):
        check_placeholders(ProgramSettings(**fields), searched)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seeds", 3),
        ("env_kwargs", {"size": 3}),
        ("evaluation_env_kwargs", {"size": 3}),
        ("held_out_interval", 5),
        ("evaluation_episodes", 20),
        ("videos", 1),
    ],
)
def test_a_field_that_no_program_follows_is_refused(name, value):
    given = {"command": "true", "metric": "return_mean"}
    validate_program_job(make_job(given))
    with pytest.raises(InputError, match=rf"{name} is .*: remove {name}"):
        validate_program_job(make_job({**given, name: value}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_failures": 5}, "max_failures is 5.*: remove max_failures"),
        ({"command": ""}, "command is empty: write"),
        ({"resume": "--load {checkpoint}"}, r"resume is .*does not contain \{out\}"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_single_program_refuses_what_does_nothing(fields, message):
    with pytest.raises(InputError, match=message):
        validate_program_job(make_job({"command": "true", "metric": "return_mean", **fields}))


def test_all_given_placeholders_are_known():
    command = "train --lr {lr} {seed} {trial} {out}"
    check_placeholders(ProgramSettings(command, "--load {checkpoint}"), {"lr": 0})


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python -u examples/train.py --lr {lr}", "train"),
        ("python -m cleanrl.ppo", "cleanrl.ppo"),
        ("./run.sh a.py", "run"),
        ("/usr/bin/isaaclab -p", "isaaclab"),
        ("", "program"),
    ],
)
def test_a_program_is_named_by_its_script(command, name):
    assert name_program(command) == name


@pytest.mark.parametrize(
    ("space", "value"),
    [
        ({"uniform": [0, 1]}, math.nan),
        ({"uniform": [0, 1]}, None),
        ({"uniform": [0, 1]}, {"a": 1}),
        ({"int": [0, 9]}, 0.5),
        ({"choice": [0.1, 0.2]}, math.nan),
    ],
    ids=str,
)
def test_points_of_programs_have_the_kind_of_their_space(space, value):
    given = {"command": "t {x}", "search": {"x": space}, "trials": 2, "points": [{"x": value}]}
    with pytest.raises(InputError, match=r"points\[0\].x must be"):
        make_job(given)


def test_a_name_of_a_program_is_none_of_our_fields():
    search = {"log": {"uniform": [0, 1]}, "budget": {"choice": ["a", "b"]}}
    points = [{"log": 0.5, "budget": "a"}]
    make_job({"command": "t {log} {budget}", "search": search, "trials": 2, "points": points})
