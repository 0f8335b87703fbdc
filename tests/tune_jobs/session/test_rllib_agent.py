# pyright: basic, reportAttributeAccessIssue=false, reportArgumentType=false
"""A trial of one of RLlib's own algorithms: iterations, metrics, score, checkpoint, faults."""

import json
from pathlib import Path

import numpy as np
import pytest
import sick_worlds
import torch
import trials

from algos.policy import Policy
from algos.rollouts.environment_fault import EnvironmentFault
from tune_jobs.evaluation.evaluate import evaluate
from tune_jobs.jobs.job_yaml import make_job

pytestmark = pytest.mark.system

DQN = {
    "env": "CartPole-v1",
    "algo": "rllib/DQN",
    "metric": "return_mean",
    "mode": "max",
    "steps": 120,
    "iterations": 3,
    "settings": {
        "num_steps_sampled_before_learning_starts": 60,
        "train_batch_size_per_learner": 8,
        "replay_buffer_config": {"capacity": 200},
        "model_config": {"fcnet_hiddens": [8]},
    },
}
SAC = {
    "env": "Pendulum-v1",
    "algo": "rllib/SAC",
    "iterations": 2,
    "settings": {
        "num_steps_sampled_before_learning_starts": 20,
        "train_batch_size_per_learner": 8,
        "min_sample_timesteps_per_iteration": 30,
    },
}
PPO = {
    "algo": "rllib/PPO",
    "steps": 1000,
    "settings": {
        "train_batch_size_per_learner": 300,
        "minibatch_size": 100,
        "num_epochs": 1,
        "model_config": {"fcnet_hiddens": [8]},
    },
}


def step(trial):
    result = trial.step()
    return result, json.loads(result["metrics"])


@pytest.fixture(scope="module")
def dqn(tmp_path_factory, local_ray):
    """A trial after its second iteration, with the two results and its checkpoint."""
    folder = tmp_path_factory.mktemp("dqn")
    trial = trials.make_trial(DQN, folder)
    results = [step(trial) for _ in range(2)]
    checkpoint = folder / "checkpoint_000000"
    checkpoint.mkdir()
    trial.save_checkpoint(str(checkpoint))
    yield trial, results, checkpoint
    trial.cleanup()


def test_an_iteration_is_an_equal_part_of_the_steps(dqn):
    _, results, _ = dqn
    assert [metrics["env_steps"] for _, metrics in results] == [40, 80]
    assert [result["iteration"] for result, _ in results] == [1, 2]


def test_metrics_have_the_names_of_the_catalogue(dqn):
    _, ((_, before), (_, metrics)), _ = dqn
    assert "value_loss" not in before, "nothing was learnt yet"
    assert {"value_loss", "grad_norm", "lr", "gamma", "episodes", "iteration_s"} <= metrics.keys()
    assert metrics["nonfinite"] == 0 and metrics["gamma"] == 0.99
    assert metrics["warm_up_steps"] == 60 and metrics["time_limit"] == 500
    assert before["return_mean"] * before["episodes"] <= before["env_steps"]


def test_score_waits_for_twenty_episodes(dqn):
    _, results, _ = dqn
    assert sum(metrics["episodes"] for _, metrics in results) < 20
    assert [result["score"] for result, _ in results] == [None, None]


def test_restored_trial_continues_with_weights_and_replay_buffer(dqn, make_trial):
    trial, _, checkpoint = dqn
    other = make_trial(DQN, checkpoint)
    ours, theirs = trial.agents[0].algorithm, other.agents[0].algorithm
    assert other.agents[0].iteration == 2 and other.agents[0].env_steps == 80
    assert theirs.local_replay_buffer.get_num_timesteps() == 80
    for name, weight in ours.get_weights()["default_policy"].items():
        np.testing.assert_array_equal(weight, theirs.get_weights()["default_policy"][name])
    result, metrics = step(other)
    assert result["iteration"] == 3 and metrics["env_steps"] == 120
    assert result["score"] is not None, "the budget is over"
    runners = ours.env_runner, theirs.env_runner
    assert runners[0]._seed != runners[1]._seed, "it meets other episodes than at the start"


def test_policy_of_a_checkpoint_acts_as_the_trained_one(dqn):
    trial, _, checkpoint = dqn
    policy = Policy.load(checkpoint, device="auto")
    assert policy.metadata["settings"] == DQN["settings"]
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    q_values = trial.agents[0].algorithm.get_module()
    batch = {"obs": torch.from_numpy(observations)}
    expected = q_values.forward_inference(batch)["actions"].numpy()
    np.testing.assert_array_equal(policy.act_batch(observations), expected)
    assert policy.act(observations[0]) == expected[0]
    evaluation = evaluate(policy, 3, 0)
    assert set(evaluation.episodes) == {"policy", "greedy", "random"}


def test_policy_folder_holds_nothing_that_runs_code(dqn):
    _, _, checkpoint = dqn
    files = {path.name for path in (Path(checkpoint) / "policy").iterdir()}
    assert files == {"policy.json", "weights.safetensors"}


def test_sac_trains_with_an_actor_and_critics(make_trial):
    trial = make_trial(DQN | SAC | {"steps": 0})
    (before, _), (result, metrics) = step(trial), step(trial)
    assert metrics["env_steps"] == 60 and metrics["policy_loss"] and metrics["value_loss"] > 0
    assert metrics["running_length_max"] == 60 and before["score"] is None
    # No episode of 200 steps has ended, so rewards per step are the score at the end.
    assert -17 * 200 < result["score"] < 0
    assert result["score"] == pytest.approx(metrics["scored_reward_mean"] * 200, rel=1e-8)
    assert metrics["scored_reward_mean"] == metrics["reward_mean"]


def test_ppo_takes_whole_batches_up_to_the_steps(make_trial):
    job = make_job(DQN | PPO | {"iterations": 0})
    assert job.iterations == 3
    trial = make_trial(DQN | PPO | {"held_out_interval": 2, "held_out_episodes": 2})
    steps, results = [], []
    for _ in range(3):
        result, metrics = step(trial)
        steps.append(metrics["env_steps"])
        results.append(metrics)
    assert steps == [600, 900, 1200], "batches of 300, until 334, 667 and 1000 are reached"
    assert {"explained_variance", "entropy", "kl"} <= metrics.keys()
    assert result["score"] > 0
    assert ["held_out_return_mean" in metrics for metrics in results] == [True] * 3


def test_score_of_our_environments_is_measured(make_trial):
    changed = {"env": "envs:CausalLearning-v0", "metric": "excess_risk", "mode": "min"}
    trial = make_trial(DQN | PPO | changed | {"steps": 300, "iterations": 1})
    result, metrics = step(trial)
    assert metrics["episodes"] > 0 and metrics["excess_risk"] > 0
    assert result["score"] == pytest.approx(metrics["excess_risk"], rel=1e-8)


def check_failure(make_trial, settings):
    env = {"env": "sick_worlds:SickLate-v0", "steps": 9000, "iterations": 2}
    trial = make_trial(DQN | PPO | env | {"settings": PPO["settings"] | settings})
    # Its state is lost, so Tune restarts the trial from its last checkpoint.
    with pytest.raises(EnvironmentFault) as fault:
        trial.step()
    said = str(fault.value)
    assert "SickLate-v0 failed in step()" in said and "sick_worlds" in said
    assert "no shelf 9 " in said.replace("'", " ")


def test_failure_of_the_environment_is_raised(make_trial, monkeypatch):
    monkeypatch.setattr(sick_worlds.Late, "taken", 2990)
    check_failure(make_trial, {})


def test_failure_in_a_remote_runner_is_raised(make_trial):
    check_failure(make_trial, {"num_env_runners": 1})
