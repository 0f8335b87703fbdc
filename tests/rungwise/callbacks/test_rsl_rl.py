# pyright: basic, reportMissingImports=false
"""The callback of RSL-RL in its runner."""

import pytest

pytest.importorskip("rsl_rl", reason="the extra [peers] is not installed")

import torch
from benchmarks.programs.environments import TorchSteer
from rsl_rl.runners import OnPolicyRunner

from rungwise.callbacks.rsl_rl import HealthCallback
from rungwise.judging.watch import TimeLimit
from rungwise.validation import InputError

ITERATIONS = 40


def make_runner(path, learning_rate=3e-3):
    """PPO with iterations of 400 steps."""
    torch.manual_seed(0)
    model = {"class_name": "MLPModel", "hidden_dims": [32], "activation": "tanh"}
    noise = {"class_name": "GaussianDistribution", "init_std": 1.0}
    config = {
        "num_steps_per_env": 25,
        "save_interval": 10**6,
        "obs_groups": {"actor": ["policy"], "critic": ["policy"]},
        "actor": model | {"distribution_cfg": noise},
        "critic": dict(model),
        "algorithm": {
            "class_name": "PPO",
            "learning_rate": learning_rate,
            "schedule": "fixed",
            "entropy_coef": 0.001,
        },
    }
    return OnPolicyRunner(TorchSteer("none"), config, path and str(path), "cpu")


def make_callback(runner):
    """A callback that judges every row."""
    return HealthCallback(runner, time_limit=TimeLimit(fraction=1.0))


def test_a_healthy_training_passes_untouched(tmp_path):
    runner = make_runner(tmp_path)
    health = make_callback(runner)
    runner.learn(ITERATIONS)
    assert runner.current_learning_iteration == ITERATIONS - 1
    assert health.watch.verdict == "healthy"
    assert {"entropy_collapse", "value_divergence"} <= set(health.watch.diagnosis.judged)


def test_a_loss_of_nan_ends_a_training_whose_model_is_saved(tmp_path):
    runner = make_runner(tmp_path, learning_rate=1e20)
    health = make_callback(runner)
    runner.learn(ITERATIONS)
    last = runner.current_learning_iteration
    assert last < ITERATIONS - 1 and (tmp_path / f"model_{last}.pt").exists()
    assert health.watch.verdict == "stop" and runner.logger.tot_timesteps == 400 * (last + 1)


def test_each_call_is_judged_by_itself(tmp_path):
    runner = make_runner(tmp_path)
    health = make_callback(runner)
    for _ in range(2):
        runner.learn(2)
        assert health.watch._run.log.rows_seen == 2


def test_all_processes_end_where_the_first_says_so(tmp_path, monkeypatch):
    runner = make_runner(tmp_path)
    health = make_callback(runner)
    monkeypatch.setattr(runner, "is_distributed", True)
    monkeypatch.setattr(runner.alg, "broadcast_parameters", lambda: None)
    monkeypatch.setattr(torch.distributed, "broadcast", lambda decision, src: decision.fill_(1.0))
    runner.learn(ITERATIONS)
    assert runner.logger.tot_timesteps == 400 and health.watch.stop is None


def test_a_runner_that_logs_nothing_is_refused():
    with pytest.raises(InputError, match="log_dir"):
        HealthCallback(make_runner(None))
