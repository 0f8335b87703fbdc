# pyright: basic, reportMissingImports=false
"""The callback of skrl with PPO and its trainers."""

import pytest

pytest.importorskip("skrl", reason="the extra [peers] is not installed")

import torch
from benchmarks.programs.environments import Steer
from skrl import config
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from skrl.trainers.torch import SequentialTrainer, SequentialTrainerCfg, StepTrainer, StepTrainerCfg

from rungwise.callbacks.skrl import HealthCallback
from rungwise.judging.watch import TimeLimit
from rungwise.validation import InputError

ROLLOUT, STEPS = 25, 1000


class Policy(GaussianMixin, Model):
    def __init__(self, **spaces):
        Model.__init__(self, **spaces)
        GaussianMixin.__init__(self)
        self.net, self.log_std = torch.nn.Linear(2, 2), torch.nn.Parameter(torch.zeros(2))

    def compute(self, inputs, role=""):
        return self.net(inputs["observations"]), {"log_std": self.log_std}


class Value(DeterministicMixin, Model):
    def __init__(self, **spaces):
        Model.__init__(self, **spaces)
        DeterministicMixin.__init__(self)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)
        )

    def compute(self, inputs, role=""):
        return self.net(inputs["observations"]), {}


def make_trainer(path, kind=SequentialTrainer, cfg=SequentialTrainerCfg, fault="none", **settings):
    """A trainer of PPO that writes a row after each of 40 rollouts, and its environment."""
    torch.manual_seed(0)
    steer = Steer(fault)
    env = wrap_env(steer, wrapper="gymnasium")
    spaces = {
        "observation_space": env.observation_space,
        "action_space": env.action_space,
        "device": "cpu",
    }
    options = PPO_CFG(rollouts=ROLLOUT, grad_norm_clip=0.5, **{"learning_rate": 3e-3} | settings)
    options.experiment.directory = str(path)
    options.experiment.checkpoint_interval = 0
    options.experiment.write_interval = ROLLOUT
    agent = PPO(
        models={"policy": Policy(**spaces), "value": Value(**spaces)},
        memory=RandomMemory(memory_size=ROLLOUT, num_envs=env.num_envs, device="cpu"),
        cfg=options,
        **spaces,
    )
    quiet = cfg(timesteps=STEPS, headless=True, disable_progressbar=True)
    quiet.close_environment_at_exit = False
    return kind(cfg=quiet, env=env, agents=agent), steer


def make_callback(trainer, **options):
    """A callback that judges every row."""
    return HealthCallback(trainer, time_limit=TimeLimit(fraction=1.0), **options)


def test_a_healthy_training_passes_untouched(tmp_path):
    trainer, env = make_trainer(tmp_path)
    health = make_callback(trainer)
    trainer.train()
    assert env.steps == STEPS and health.watch.verdict == "healthy"
    assert {"no_improvement", "value_divergence"} <= set(health.watch.diagnosis.judged)


def test_a_nan_reward_ends_a_training_at_the_next_row(tmp_path):
    trainer, env = make_trainer(tmp_path, fault="nan-reward")  # from step 501 on
    health = make_callback(trainer)
    trainer.train()
    assert env.steps == 525
    assert health.watch.stop and health.watch.stop.symptom == "not_finite"


def test_a_loop_around_a_step_trainer_ends_itself(tmp_path):
    trainer, env = make_trainer(tmp_path, StepTrainer, StepTrainerCfg, fault="nan-reward")
    health = make_callback(trainer)
    for step in range(STEPS):
        trainer.train(timestep=step, timesteps=STEPS)
        if health.watch.should_stop:
            break
    assert env.steps == 525


def test_all_processes_end_where_the_first_says_so(tmp_path, monkeypatch):
    trainer, env = make_trainer(tmp_path)
    health = make_callback(trainer)
    monkeypatch.setattr(config.torch, "_is_distributed", True)
    monkeypatch.setattr(torch.distributed, "broadcast", lambda decision, src: decision.fill_(1.0))
    trainer.train()
    assert env.steps == 1 and health.watch.stop is None


def test_an_agent_that_writes_nothing_is_refused(tmp_path):
    trainer, _ = make_trainer(tmp_path)
    del trainer.agents.writer
    with pytest.raises(InputError, match="write_interval"):
        HealthCallback(trainer)
