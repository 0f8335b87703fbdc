# pyright: basic
"""Trials on a GPU under Ray: who holds it, two trials on one, memory, resume, idle GPUs."""

import itertools
import json

import pytest
import small
import torch

import algos
import rungwise
from algos.policy import Policy
from rungwise.run_log.events import EndRow, FindingRow, ResultRow
from tune_jobs.jobs.job_yaml import make_job

pytestmark = [pytest.mark.usefixtures("local_ray"), pytest.mark.timeout(900)]

SETTINGS = {"num_envs": 16, "rollout_length": 64, "minibatch_size": 64, "hidden": [8]}
JOB = {"env": "CartPole-v1", "iterations": 3, "gpus_per_trial": 1, "settings": SETTINGS}
SCORED = JOB | {"metric": "return_mean", "mode": "max"}


def get_devices(algorithm):
    """Where the learner's weights are, and those that act."""
    (learner,) = algorithm.learner_group.foreach_learner(lambda learner: str(learner._device))
    acting = algorithm.env_runner_group.foreach_env_runner(
        lambda runner: runner.module and runner.module.device.type
    )
    return learner.get(), set(acting) - {None}


@pytest.mark.parametrize("runners", [0, 1])
def test_runners_act_on_the_gpu_that_the_trial_holds(runners):
    chosen = small.settings(acting_device="gpu", num_env_runners=runners)
    built = algos.build_algorithm(
        "ppo", "CartPole-v1", {}, chosen, iterations=3, seed=0, gpus=1 / (1 + runners)
    )
    try:
        for _ in range(3):
            built.train()
        assert get_devices(built) == ("cuda:0", {"cuda"})
    finally:
        built.stop()


def test_a_trial_resumes_on_the_gpu_and_its_policy_loads_anywhere(make_trial, tmp_path):
    trial = make_trial(SCORED | {"held_out_interval": 1, "held_out_episodes": 4})
    assert trial.step()["idle_gpu"] == ""
    (saved := tmp_path / "saved").mkdir()
    trial.save_checkpoint(str(saved))
    again = make_trial(SCORED, saved)
    assert again.step()["iteration"] == 2 and get_devices(again.agents[0])[0] == "cuda:0"
    policies = [Policy.load(saved, device) for device in ("cpu", "cuda")]
    observations = policies[0].observation_space.sample()[None].repeat(64, 0)
    first, second = (policy.act_batch(observations) for policy in policies)
    assert (first == second).all()


def test_the_next_trial_in_a_process_gets_the_memory_of_the_last(make_trial, tmp_path):
    trial = make_trial(SCORED | {"settings": SETTINGS | {"hidden": [2048, 2048]}})
    trial.step()
    held = torch.cuda.memory_allocated()
    for _ in range(2):
        trial.reset_config({"plan": make_plan(tmp_path)})
        trial.step()
    assert torch.cuda.memory_allocated() < 1.2 * held


def make_plan(tmp_path):
    return {"trial": "01", "config": {}, "hang_report_dir": str(tmp_path), "resume_from": ""}


def test_two_trials_share_one_gpu(tmp_path):
    rows: list = []
    job = make_job(
        JOB
        | {
            **{"gpus_per_trial": 0.5, "trials": 2, "scheduler": "none", "iterations": 20},
            **{"search": {"lr": {"loguniform": [1e-4, 1e-3]}}, "evaluation_episodes": 0},
            "settings": SETTINGS | {"acting_device": "gpu"},
        }
    )
    rungwise.run(job, tmp_path / "run", on_row=rows.append)
    assert {row.trial: row.reason for row in rows if isinstance(row, EndRow)} == {
        "00": "budget",
        "01": "budget",
    }
    assert "idle_gpu" not in {row.symptom for row in rows if isinstance(row, FindingRow)}
    results = [row.trial for row in rows if isinstance(row, ResultRow)]
    changes = sum(a != b for a, b in itertools.pairwise(results))
    assert changes > 1, "they trained at the same time"


def test_a_gpu_that_torch_cannot_use_is_named(make_trial, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    trial = make_trial(SCORED)
    result = trial.step()
    assert "finds no GPU" in result["idle_gpu"]
    assert json.loads(result["metrics"])["updates"] > 0
    assert get_devices(trial.agents[0])[0] == "cpu"
