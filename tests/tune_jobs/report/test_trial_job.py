# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
"""The settings of a trial: as a job that trains them alone, and next to the defaults."""

import subprocess

import pytest
from finished_run import job

from algos.ppo import PPOSettings
from tune_jobs.jobs.job_yaml import dump_job, parse_job
from tune_jobs.report.trial_job import (
    UNKNOWN,
    UNUSABLE,
    dump_trial_job,
    format_training,
    list_trial_settings,
    make_trial_job,
    read_run_job,
)

CONFIG = {"lr": 0.005}


def causal(**changed):
    search = {"env.interventions": {"choice": [5, 10]}}
    about = {"env": "envs:CausalLearning-v0", "metric": "", "mode": "", "search": search}
    return job(**about | changed)


def program():
    return parse_job(
        "command: python train.py --lr {lr}\nsearch: {lr: {loguniform: [1e-4, 1e-2]}}\n"
        "trials: 3\nmetric: reward\nmode: max\niterations: 5\n",
        "job",
    )


def settings_of(sweep, config):
    return {one.name: one for one in list_trial_settings(sweep, config)}


def test_searched_arguments_go_to_the_environment():
    assert make_trial_job(causal(), {"env.interventions": 5}).env_kwargs == {"interventions": 5}


def test_a_value_that_is_false_is_kept():
    text = dump_trial_job(job(evaluation_episodes=0), CONFIG)
    assert "evaluation_episodes: 0" in text


def test_a_program_keeps_its_command_and_names_the_values():
    read = parse_job(dump_trial_job(program(), CONFIG), "trial")
    assert read.sample_configs() == [CONFIG] and read.trials == 1


def test_a_further_setting_replaces_that_of_the_job():
    text = dump_trial_job(job(settings={"epochs": 8}), CONFIG | {"epochs": 4})
    assert parse_job(text, "trial").settings == PPOSettings(lr=0.005, epochs=4)


def test_values_that_cannot_be_used_have_no_job():
    assert dump_trial_job(job(), {"lr": -1.0}) == dump_trial_job(job(), {"gone": 1}) == ""


def test_the_lines_of_a_shell_write_the_job(tmp_path):
    text = dump_trial_job(job(settings={"epochs": 4}), CONFIG)
    lines = format_training("trial 00's.yaml", text)
    write, _, train = lines.rpartition("\n")
    subprocess.run(["sh", "-c", write], cwd=tmp_path, check=True)
    assert (tmp_path / "trial 00's.yaml").read_text() == text
    assert train.startswith("rungwise train '")


def test_settings_stand_next_to_their_defaults():
    found = settings_of(job(settings={"epochs": 8}, patience=5), CONFIG)
    lr, epochs, gamma, patience = (found[n] for n in ("lr", "epochs", "gamma", "patience"))
    assert (lr.value, lr.default, lr.is_searched) == (0.005, PPOSettings().lr, True)
    assert (epochs.value, epochs.default, epochs.is_searched) == (8, PPOSettings().epochs, False)
    assert (patience.value, patience.default, patience.differs) == (5, 0, True)
    assert epochs.differs and not gamma.differs and gamma.value == PPOSettings().gamma
    # What only a sweep has is no setting of a trial.
    assert {"search", "searcher", "points", "scheduler"}.isdisjoint(found)


def test_arguments_of_our_environments_have_defaults_and_others_none():
    found = settings_of(causal(), {"env.interventions": 5})
    assert found["env.interventions"][:2] == ("env.interventions", 5)
    assert found["env.interventions"].is_searched and found["env.interventions"].default > 5
    assert len([name for name in found if name.startswith("env.")]) > 3
    other = settings_of(job(env_kwargs={"sutton_barto_reward": True}), CONFIG)
    assert other["env.sutton_barto_reward"].default == UNKNOWN


def test_a_program_has_its_searched_values():
    found = settings_of(program(), CONFIG)
    assert found["lr"].is_searched and found["lr"].value == 0.005 and found["command"].differs


def test_environment_variables_of_a_program_are_shown_without_values():
    sweep = parse_job("command: t.py\nenvironment: {KEY: s3cret}\n", "job")
    assert settings_of(sweep, {})["environment"].value == {"KEY": "***"}


def test_a_value_of_another_version_is_refused():
    with pytest.raises(UNUSABLE):
        list_trial_settings(job(), {"gone": 1})


def test_a_run_without_a_job_that_can_be_read_has_none(tmp_path):
    assert read_run_job(tmp_path) is None
    (tmp_path / "job.yaml").write_text("env: x\nold_field: 1\n")
    assert read_run_job(tmp_path) is None
    (tmp_path / "job.yaml").write_text(dump_job(job()))
    assert read_run_job(tmp_path) == job()
