"""What an A*-PO job announces before it starts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from algos.astar_po import AStarPOSettings
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.jobs.workload import describe_stage_1


def make_job(folder: str = "", **changed: Any) -> Job:
    job = load_job("shop-qwen")
    assert isinstance(job.settings, AStarPOSettings)
    settings = replace(
        job.settings, language_model=folder, starts=100, reference_samples=64, num_envs=64
    )
    return replace(job, settings=settings, **changed)


def make_model(folder: Path, gigabytes: int) -> str:
    """A folder with the file of a model's weights, which takes no space on the disk."""
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(gigabytes * 10**9)
    return str(folder)


def test_episodes_before_and_in_training_are_counted():
    text = describe_stage_1(make_job())
    assert "6,400 episodes before the first iteration (100 starts, 64 samples each)" in text
    assert "training 12,800, of at most 15 steps" in text
    assert "parameters" not in text


def test_other_algorithms_have_no_stage_1():
    assert describe_stage_1(load_job("cartpole")) == ""


def test_the_time_follows_from_the_size_of_the_model(tmp_path: Path):
    # 6,400 * 15 steps * (256 + 12 * 32) tokens * 1e9 parameters * 2 / 1e14 = 1,229 s.
    text = describe_stage_1(make_job(make_model(tmp_path, 2), gpus_per_trial=1.0))
    assert "1 billion parameters about 20 min and" in text
    assert "on a GPU" in text


def test_without_a_gpu_it_says_what_to_set(tmp_path: Path):
    text = describe_stage_1(make_job(make_model(tmp_path, 2), gpus_per_trial=0.0))
    assert "--gpus-per-trial 1" in text
    assert "about 682 h 40 min" in text


def test_the_preset_for_a_users_model_has_a_gpu_and_a_cache():
    job = load_job("shop-qwen")
    assert isinstance(job.settings, AStarPOSettings)
    assert job.gpus_per_trial == 1 and job.settings.v_star_cache
    assert job.settings.starts * job.settings.reference_samples >= 6400
