# pyright: basic
import dataclasses

import pytest

import envs
from cluster.commands.job_flags import make_job_flags
from envs.factory import make_params
from rungwise.validation import InputError
from tune_jobs.evaluation.scoring import resolve_metric
from tune_jobs.jobs.job_yaml import (
    dump_job,
    list_presets,
    load_job,
    make_job,
    make_plain,
    parse_job,
)


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_loads_and_survives_being_written_out(name):
    job = load_job(name)
    assert parse_job(dump_job(job), "copy") == job
    for drawn in job.sample_configs():
        job.make_trial_settings(drawn)


@pytest.mark.parametrize("name", list_presets())
def test_a_job_survives_the_way_through_command_line_flags(name):
    job = load_job(name)
    flags = make_job_flags(make_plain(job), name)
    again = make_job(flags.read_fields(flags.defaults, {}))
    # What a preset says although it is the default is left out of a job's copy.
    assert world(again) == world(job)
    assert dataclasses.replace(again, env_kwargs={}) == dataclasses.replace(job, env_kwargs={})


def world(job):
    family = envs.FAMILIES.get(job.env.removeprefix("envs:"))
    return make_params(family.params, job.env_kwargs) if family else job.env_kwargs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("env: CartPole-v1\npacks: 2", "packs in .* is 2, but is removed: .*gpus_per_trial"),
        ("env: CartPole-v1\nitertions: 3", "no field 'itertions' .*did you mean iterations"),
        ("env: CartPole-v1\nsettings: {leraning_rate: 1}", "no field 'leraning_rate'"),
        ("env: CartPole-v1\nsettings: {lr: 7}", r"settings.lr must be in \[0, 1\].*it is 7"),
        ("env: CartPole-v1\nsettings: {lr: fast}", "settings.lr must be a number.*'fast'"),
        ("env: CartPole-v1\nalgo: pqo", "no algorithm 'pqo': did you mean ppo"),
        ("env: CartPole-v1\nsearch: {cilp: {uniform: [0, 1]}}", "did you mean clip"),
        ("env: CartPole-v1\nsearch: {lr: {uniform: [0.1, 7]}}", r"search.lr must be in \[0, 1\]"),
        ("env: CartPole-v1\nhealth: {zero_rewad: stop}", "did you mean zero_reward"),
        ("env: CartPole-v1\nhealth: {zero_reward: halt}", "halt"),
        ("env: CartPole-v1\ntrials: 4", "need something to search"),
        ("env: CartPole-v1\nseed: -1", "seed must be"),
        ("settings: {lr: 0.1}", "must name an environment"),
        ("env: [", "not valid YAML"),
        ("env: a\nsettings:\n  lr: 1\n  clip: 1\n  lr: 2", "line 5: 'lr' .* first in line 3"),
        ("env: a\nsettings: {lr: 1, lr: 2}", "line 2: 'lr' is given twice"),
        ("env: a\npoints: [{lr: 1}, {lr: 1, lr: 2}]", "line 2: 'lr' is given twice"),
        ("env: CartPole-v1\nhealth: off", "health must be"),
        ("env: CartPole-v1\nhealth: {zero_reward: on}", "must be one of 'off'"),
        (
            "env: CartPole-v1\nsearch: {1: {choice: [1]}}",
            "A name in search of job.yaml must be text",
        ),
        ("env: CartPole-v1\nenv_kwargs: {1: 2}", "A name in env_kwargs .* but it is 1"),
        ('command: "python \'train.py"', "no closing quotation"),
        ('command: t.py\nresume: "--load \'{checkpoint}"', "no closing quotation"),
        ("command: t.py\nenvironment: {1: a}", "A name in environment of job.yaml"),
        ("command: t.py\nenvironment: {DEBUG: true}", "environment.DEBUG must be text"),
        ("command: t.py\nenvironment: {KEY: '***'}", "environment.KEY .* write its value"),
        ("command: t.py\nrename: {ret: 1}", "rename.ret must be text, but it is 1"),
        pytest.param(f"env: a\ntrials: {'9' * 5000}", "not valid YAML", id="digits"),
        ("env: a\ntags: 2020-13-45", "not valid YAML"),
        (f"env: CartPole-v1\nsettings: {{lr: 1{'0' * 400}}}", "lr .* hundreds of digits"),
        ("just text", "must hold the fields of a job"),
        pytest.param("env: " + "[" * 5000, "is nested too deeply", id="deep"),
        pytest.param("env: " + "[" * 5000 + "]" * 5000, "is nested too deeply", id="closed"),
        ("env: CartPole-v1\nsettings: {minibatch_size: 9999}", "at most the 2048 steps"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(text, said):
    with pytest.raises(InputError, match=said):
        parse_job(text, "job.yaml")


def test_whole_numbers_are_values_of_environment_variables():
    text = "command: t.py\nenvironment: {OMP_NUM_THREADS: 1, MODE: fast}\n"
    job = parse_job(text, "job.yaml")
    assert job.program.environment == {"OMP_NUM_THREADS": "1", "MODE": "fast"}
    assert parse_job(dump_job(job), "again") == job


@pytest.mark.parametrize(
    ("name", "said"),
    [("causl", "did you mean causal"), ("nowhere.yaml", r"nowhere\.yaml cannot be read")],
)
def test_an_unknown_preset_or_file_is_named(name, said):
    with pytest.raises(InputError, match=said):
        load_job(name)


def test_a_job_file_that_is_not_utf8_is_refused_by_its_line(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_bytes(b"env: CartPole-v1\nmetric: r\xe9compense\n")
    with pytest.raises(InputError, match=r"job\.yaml is not UTF-8 text: line 2 .*0xe9"):
        load_job(str(path))
    path.write_text("env: CartPole-v1\n", encoding="utf-8-sig")  # as some editors save it
    assert load_job(str(path)).env == "CartPole-v1"


def test_keys_may_be_repeated_in_different_mappings():
    text = "env: CartPole-v1\nsettings: {lr: 0.1}\npoints: [{lr: 0.2}, {lr: 0.3}]\n"
    text += "search: {lr: {uniform: [0.1, 0.3]}}\ntrials: 2\n"
    assert [point["lr"] for point in parse_job(text, "job.yaml").points] == [0.2, 0.3]


def test_yaml_off_switches_a_health_rule_off():
    job = parse_job("env: CartPole-v1\nhealth: {entropy_collapse: off}\n", "job.yaml")
    assert job.health == {"entropy_collapse": "off"}
    assert parse_job(dump_job(job), "copy").health == job.health
    flags = make_job_flags({"env": "CartPole-v1"}, "the job")
    given = {"health": {"entropy_collapse": "off"}}
    assert make_job(flags.read_fields(flags.defaults, given)).health == job.health


def test_short_environment_names_resolve_with_their_score():
    job = make_job({"env": "CausalLearning-v0"})
    assert job.env == "envs:CausalLearning-v0"
    assert resolve_metric(job) == ("excess_risk", "min")
    assert resolve_metric(make_job({"env": "CartPole-v1"})) == ("return_mean", "max")


def test_an_unknown_metric_or_an_unclear_direction_is_refused():
    with pytest.raises(InputError, match="did you mean return_mean"):
        resolve_metric(make_job({"env": "CartPole-v1", "metric": "retrun_mean"}))
    with pytest.raises(InputError, match="mode must say"):
        resolve_metric(make_job({"env": "CartPole-v1", "metric": "entropy"}))
    job = make_job({"env": "CartPole-v1", "metric": "entropy", "mode": "max"})
    assert resolve_metric(job) == ("entropy", "max")
