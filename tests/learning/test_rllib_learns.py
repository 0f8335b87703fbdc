# pyright: basic, reportAttributeAccessIssue=false
"""RLlib's own algorithms learn what they are known to learn; prints the figures."""

import json

import pytest
from trials import make_trial

from algos.policy import Policy
from tune_jobs.evaluation.evaluate import evaluate
from tune_jobs.jobs.job_yaml import make_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]

PPO = {
    "env": "CartPole-v1",
    "algo": "rllib/PPO",
    "steps": 81_920,
    "settings": {
        "train_batch_size_per_learner": 4096,
        "minibatch_size": 256,
        "num_epochs": 10,
        # To 0, because at a constant rate of 0.001 it forgets what it has learnt.
        "lr": [[0, 0.001], [81_920, 0.0]],
        "lambda_": 0.95,
        "num_envs_per_env_runner": 8,
        "vf_loss_coeff": 0.5,
        "vf_clip_param": 10_000.0,
        "grad_clip": 0.5,
        "model_config": {"fcnet_hiddens": [64, 64], "vf_share_layers": False},
    },
}
DQN = {
    "env": "CartPole-v1",
    "algo": "rllib/DQN",
    "steps": 50_000,
    "settings": {
        "lr": 0.0005,
        "epsilon": [[0, 1.0], [10_000, 0.02]],
        "n_step": 3,
        # One update for four steps, and a new target network after 500 updates: where it is
        # replaced after a few dozen, the values run away.
        "rollout_fragment_length": 4,
        "train_batch_size_per_learner": 64,
        "target_network_update_freq": 2000,
        "num_steps_sampled_before_learning_starts": 1000,
        "model_config": {"fcnet_hiddens": [256], "fcnet_activation": "tanh"},
    },
}
SAC = {
    "env": "Pendulum-v1",
    "algo": "rllib/SAC",
    "steps": 12_000,
    "settings": {
        "actor_lr": 0.001,
        "critic_lr": 0.001,
        "alpha_lr": 0.001,
        "train_batch_size_per_learner": 128,
        "num_steps_sampled_before_learning_starts": 500,
    },
}


@pytest.mark.parametrize(
    ("name", "bar"), [("PPO", 475), ("DQN", 200), ("SAC", -250)], ids=["ppo", "dqn", "sac"]
)
def test_known_return_is_reached(name, bar, training_seed, tmp_path, local_ray):
    chosen = globals()[name] | {"metric": "return_mean", "mode": "max"}
    job, trial = make_job(chosen), make_trial(chosen, tmp_path, trial=str(training_seed))
    curve = []
    while trial.agents[0].iteration < job.iterations:
        result = trial.step()
        metrics = json.loads(result["metrics"])
        curve.append((metrics["env_steps"], metrics.get("return_mean")))
        print(
            name, training_seed, curve[-1], result["score"], round(result["trained_s"]), flush=True
        )
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    trial.save_checkpoint(str(checkpoint))
    trial.cleanup()
    evaluation = evaluate(Policy.load(checkpoint), 100, 0, with_baselines=True)
    figures = {player: evaluation.summarise(player) for player in evaluation.episodes}
    print(f"rllib/{name} on {job.env}, seed {training_seed}: {figures}")
    best = max(figures[player]["return_mean"] for player in ("policy", "greedy"))
    assert best >= bar
