# pyright: basic, reportMissingImports=false
"""The hook of TorchRL in its trainer of PPO."""

import pytest

pytest.importorskip("torchrl", reason="the extra [peers] is not installed")

import torch
from benchmarks.programs.environments import make_cartpole
from tensordict.nn import TensorDictModule
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement
from torchrl.envs import GymWrapper, RewardSum, StepCounter, TransformedEnv
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.trainers.algorithms import PPOTrainer

from rungwise.callbacks.torchrl import HealthHook
from rungwise.judging.watch import TimeLimit

ROLLOUT, STEPS = 128, 3840


def make_network(outputs):
    return torch.nn.Sequential(
        torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, outputs)
    )


def make_trainer(learning_rate):
    """PPO on the pole, which is logged after each of 30 rollouts."""
    torch.manual_seed(0)
    env = GymWrapper(make_cartpole(), categorical_action_encoding=True)
    env = TransformedEnv(env, RewardSum()).append_transform(StepCounter())
    env.set_seed(0)
    actor = ProbabilisticActor(
        TensorDictModule(make_network(2), in_keys=["observation"], out_keys=["logits"]),
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    critic = ValueOperator(make_network(1), in_keys=["observation"])
    loss = ClipPPOLoss(actor, critic, normalize_advantage=True, loss_critic_type="l2")
    sampler = SamplerWithoutReplacement()
    return PPOTrainer(
        collector=Collector(env, actor, frames_per_batch=ROLLOUT, total_frames=STEPS),
        total_frames=STEPS,
        frame_skip=1,
        optim_steps_per_batch=None,
        loss_module=loss,
        optimizer=torch.optim.Adam(loss.parameters(), lr=learning_rate),
        replay_buffer=ReplayBuffer(
            storage=LazyTensorStorage(ROLLOUT), sampler=sampler, batch_size=ROLLOUT // 2
        ),
        clip_norm=0.5,
        log_actions=False,
        progress_bar=False,
    )


def make_hook(trainer):
    """A hook that judges every row."""
    hook = HealthHook(time_limit=TimeLimit(fraction=1.0))
    hook.register(trainer)
    return hook


def test_a_healthy_training_passes_untouched():
    trainer = make_trainer(learning_rate=1e-3)
    health = make_hook(trainer)
    trainer.train()
    assert trainer.collected_frames == STEPS and health.watch.verdict == "healthy"
    judged = {"kl_runaway", "low_explained_variance", "entropy_collapse", "no_improvement"}
    assert judged <= set(health.watch.diagnosis.judged)


def test_a_learning_rate_of_10_asks_the_trainer_to_stop():
    trainer = make_trainer(learning_rate=10.0)
    health = make_hook(trainer)
    trainer.train()
    assert trainer.collected_frames == 0.4 * STEPS
    assert health.watch.stop and health.watch.stop.symptom == "kl_runaway"
    assert trainer._stop_reason.startswith("kl_runaway: KL ")
