# pyright: basic
"""The command line of a job: its flags, and name-value pairs in both ways to write them."""

import pytest

from cluster.commands.command import split_pairs
from cluster.commands.job_flags import find_job_fields
from cluster.commands.jobs import Train, Tune
from rungwise.validation import InputError


@pytest.mark.parametrize(
    "words",
    [
        "--env-kwargs.max-steps 3 --env-kwargs.goal=left",
        "--env_kwargs.max_steps 3 --env-kwargs goal left",
        "--env-kwargs max_steps 3 goal left",
    ],
)
def test_pairs_may_be_dotted_or_one_after_another(words):
    rest, pairs = split_pairs(["CartPole-v1", *words.split(), "--json"], ["env_kwargs"])
    assert rest == ["CartPole-v1", "--json"]
    assert pairs == {"env_kwargs": {"max_steps": "3", "goal": "left"}}


def test_a_name_without_a_value_is_refused():
    with pytest.raises(InputError, match="needs names and values, but it got 'size'"):
        split_pairs(["--env-kwargs.size"], ["env_kwargs"])


def test_arguments_of_a_foreign_environment_are_set_one_by_one():
    words = ["--env", "CartPole-v1", "--env-kwargs.sutton_barto_reward", "true"]
    job = Train.parse(words).job
    assert job.env_kwargs == {"sutton_barto_reward": True}


def test_a_pair_is_added_to_those_of_a_job():
    words = ["cartpole", "--search.gamma", "{uniform: [0.9, 0.99]}"]
    job = Tune.parse(words).job
    assert {"lr", "gamma"} <= set(job.search)


def test_powers_of_ten_are_numbers_on_the_command_line():
    job = Tune.parse(["cartpole", "--search.lr", "loguniform: [1e-4, 1E-2]"]).job
    assert job.search["lr"].values == (1e-4, 1e-2)


def test_a_value_that_is_not_yaml_is_named():
    with pytest.raises(InputError, match=r"--search lr .* is not YAML"):
        Tune.parse(["cartpole", "--search.lr", "{uniform: [1"])


def test_another_algorithm_trains_one_setting_until_a_search_is_given():
    alone = Tune.parse(["acrobot", "--algo", "reinforce"]).job
    assert (alone.algo, alone.trials) == ("reinforce", 1)
    words = ["--algo", "reinforce", "--trials", "4", "--search.lr", "{loguniform: [1e-4, 1e-2]}"]
    assert Tune.parse(["acrobot", *words]).job.trials == 4


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("cartpole --env a --steps=3", {"env": "a", "steps": 3}),
        ("--env=b --cpus-per-trial 0.5 --mode max", {"env": "b", "cpus_per_trial": 0.5}),
        ("--env", {}),
        ("--iterations three --json", {}),
        ("--metric 1 --settings.lr 2", {"metric": "1"}),
    ],
)
def test_fields_of_a_job_are_found_before_flags_have_types(words, fields):
    assert find_job_fields(words.split()) == fields


def test_a_wrong_number_is_refused_before_anything_slow_is_imported():
    with pytest.raises(InputError, match=r"trials must be in \[1, 100000\], but it is 0"):
        find_job_fields(["cartpole", "--trials", "0"])


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("cartpole --settings.lrr 2", "no flag --settings.lrr: did you mean `--settings.lr VALUE`"),
        ("cartpole --lr=2", "no flag --lr: did you mean `--settings.lr 2`"),
        ("causal --env-kwargs.mlp.epoch 2", "did you mean `--env-kwargs.mlp.epochs VALUE`"),
        ("causal --env-kwargs.mlp.blob 2", "no flag --env-kwargs.mlp.blob: `rungwise .* --help`"),
        ("causal --env-kwargs rows 9", "no flag --env-kwargs: write `--env-kwargs.NAME VALUE`"),
        ("cartpole lr 2", "did you mean `--settings.lr VALUE`"),
    ],
)
def test_an_unknown_word_names_the_flag_that_was_meant(words, hint):
    with pytest.raises(InputError, match=hint):
        Train.parse(words.split())
