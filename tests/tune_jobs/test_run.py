# pyright: basic
import shutil
from dataclasses import replace

import pytest

from envs.validation import InputError
from tune_jobs.jobs.job_validation import validate_job
from tune_jobs.jobs.job_yaml import load_job, make_job
from tune_jobs.jobs.resources import check_resources, claim_run_directory, list_bundles
from tune_jobs.jobs.search_space import Space


def test_a_used_run_directory_is_refused_with_both_ways_out(tmp_path):
    (tmp_path / "job.yaml").write_text("")
    with pytest.raises(InputError, match=r"rungwise resume .*--out"):
        claim_run_directory(tmp_path)


def test_a_place_that_cannot_be_written_is_said_before_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        claim_run_directory(tmp_path / "file" / "run")


def test_a_nearly_full_disk_is_said_before_the_start(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    with pytest.raises(InputError, match="Only 1 MiB are free"):
        claim_run_directory(tmp_path / "run")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"settings": {"num_env_runners": 2}}, "hold 3 CPUs, but this machine offers 2"),
        ({"settings": {"num_learners": 1}, "cpus_per_trial": 1.5}, "hold 2.5 CPUs"),
        ({"gpus_per_trial": 0.5}, "hold 0.5 GPUs, but this machine offers 0: set --gpus-per-trial"),
    ],
)
def test_a_trial_that_this_machine_can_never_hold_is_refused(fields, said, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(InputError, match=said):
        check_resources(make_job({"env": "CartPole-v1"} | fields), 2)


@pytest.mark.parametrize(("learners", "held"), [(0, [0.5]), (2, [0, 0.25, 0.25])])
def test_gpus_are_held_by_what_learns(learners, held):
    fields = {"gpus_per_trial": 0.5, "settings": {"num_learners": learners}}
    held_by = list_bundles(make_job({"env": "CartPole-v1"} | fields))
    assert [bundle.get("GPU", 0) for bundle in held_by] == held


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"env": "CartPol-v1"}, "Did you mean: `CartPole`"),
        ({"env": "no_such_module:Thing-v0"}, "no_such_module"),
        ({"env": "CausalLearning-v0", "env_kwargs": {"row": 5}}, "did you mean rows"),
        ({"env": "Blackjack-v1", "settings": {"model": "set"}}, "set model needs a Dict"),
    ],
)
def test_an_environment_that_cannot_be_trained_on_is_refused_before_ray_starts(fields, said):
    with pytest.raises(InputError, match=said):
        validate_job(make_job(fields))


def test_a_drawn_setting_that_contradicts_another_is_refused_before_ray_starts():
    job = load_job("causal")
    search = {"num_envs": Space("choice", (64,))}
    job = replace(job, settings=replace(job.settings, minibatch_size=2000), search=search)
    with pytest.raises(InputError, match="at most the 1280 steps"):
        validate_job(job)
