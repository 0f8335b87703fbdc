# pyright: basic, reportMissingImports=false
"""Stable-Baselines3's PPO on its DummyVecEnv."""

from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from algos.rollouts.env_factory import find_env_spec
from benchmarks.meter import Asked, Meter, asked
from benchmarks.settings import ADAM_EPS, CLIP, GRAD_CLIP, LAM, VALUE_COEF


def measured(ppo: Any) -> Any:
    """A PPO that tells a meter whenever it has learnt from a rollout."""

    class Measured(ppo):
        meter: Meter

        def train(self) -> None:
            super().train()
            returns = [episode["r"] for episode in self.ep_info_buffer]
            mean = float(sum(returns) / len(returns)) if returns else None
            self.meter.iteration(self.n_steps * self.n_envs, mean)
            self.ep_info_buffer.clear()  # so that the next mean is that of the next iteration

    return Measured


def compete(ppo: Any, told: Asked, **more: Any) -> None:
    """Run SB3's PPO, or one with the same arguments."""
    task = told.task
    model = measured(ppo)(
        "MlpPolicy",
        make_vec_env(find_env_spec(task.env).id, n_envs=task.copies, seed=told.seed),
        learning_rate=task.lr,
        n_steps=task.batch // task.copies,
        batch_size=task.minibatch,
        n_epochs=task.epochs,
        gamma=task.gamma,
        gae_lambda=LAM,
        clip_range=CLIP,
        ent_coef=task.entropy_coef,
        vf_coef=VALUE_COEF / 2,
        max_grad_norm=GRAD_CLIP,
        seed=told.seed,
        **more,
    )
    model._stats_window_size = task.batch  # all episodes of an iteration, not the last 100
    model.meter = Meter(told)
    model.learn(task.iterations * task.batch)
    model.meter.report()


def main() -> None:
    told = asked()
    torch.set_num_threads(1)
    hidden = list(told.task.hidden)
    policy = {
        "net_arch": {"pi": hidden, "vf": hidden},
        "activation_fn": torch.nn.Tanh,
        "optimizer_kwargs": {"eps": ADAM_EPS},
    }
    compete(PPO, told, policy_kwargs=policy, device="cpu")


if __name__ == "__main__":
    main()
