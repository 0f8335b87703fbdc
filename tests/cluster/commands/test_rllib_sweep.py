# pyright: basic
"""RLlib's own algorithms as a user runs them: train, tune, resume, evaluate, doctor."""

import signal

import pytest
from command_line import answer, rungwise
from live_runs import read_rows, start
from waiting import wait_until

from rungwise.run_log.events import CheckpointRow, ResultRow

pytestmark = pytest.mark.system

DQN = (
    *("--algo", "rllib/DQN", "--settings.num-steps-sampled-before-learning-starts", 100),
    *("--settings.train-batch-size-per-learner", 8),
    *("--settings.model-config", "{fcnet_hiddens: [8]}", "--evaluation-episodes", 4),
)
SWEEP = """
env: CartPole-v1
algo: rllib/PPO
steps: 6000
settings: {train_batch_size_per_learner: 300, minibatch_size: 100, num_epochs: 2}
search: {lr: {loguniform: [1.0e-5, 1.0e-2]}}
trials: 4
grace: 2
checkpoint_interval: 1
evaluation_episodes: 4
"""


def test_dqn_is_trained_and_its_policy_evaluated(tmp_path):
    words = ("--steps", 600, "--iterations", 3, "--out", "run", "--json")
    done = rungwise("train", "--env", "CartPole-v1", *DQN, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = answer(done)
    assert summary["end_reason"] == "budget" and 600 <= summary["metrics"]["env_steps"] < 700
    assert summary["metrics"]["score"] > 5
    played = rungwise("evaluate", summary["checkpoint"], "--episodes", 4, "--json", cwd=tmp_path)
    assert played.returncode == 0, played.stderr
    assert {"return_mean", "return_std"} <= answer(played)["policy"].keys()
    judged = answer(rungwise("doctor", "run", "--json", cwd=tmp_path))
    assert "has no clip_fraction" in judged["not_judged"]["clip_range_too_small"]


def test_stopped_sweep_is_resumed_under_asha(tmp_path):
    (tmp_path / "ppo.yaml").write_text(SWEEP)
    process, run = start("tune", "ppo.yaml", "--out", "run", cwd=tmp_path), tmp_path / "run"
    wait_until(lambda: read_rows(run, CheckpointRow) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    before = len(read_rows(run, ResultRow))
    done = rungwise("resume", "run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = answer(done)
    assert {trial["end_reason"] for trial in summary["trials"]} <= {"budget", "asha", "health"}
    assert 0 < summary["compute_saved"] < 1 and summary["best"]["checkpoint"]
    assert len(read_rows(run, ResultRow)) > before
