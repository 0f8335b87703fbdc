# pyright: basic
"""Stock RLlib PPO on its new API stack, without remote runners: all work is in this process."""

import numpy as np
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.tune import register_env

from benchmarks.meter import Asked, Meter, asked
from benchmarks.settings import CLIP, GRAD_CLIP, LAM, VALUE_COEF
from benchmarks.worlds import FlatBatchedCausal, FlatCausal
from tune_jobs.ray_session import ray_session

finished: list[float] = []
"""Returns of the episodes that ended in this iteration."""


class Returns(RLlibCallback):
    """RLlib's own mean runs over the last 100 episodes; the others' is that of the iteration."""

    def on_episode_end(self, *, episode, env_runner, **kwargs):
        earlier = env_runner._ongoing_episodes_for_metrics.get(episode.id_, [])
        finished.append(sum(part.get_return() for part in [*earlier, episode]))


def main() -> None:
    told = asked()
    torch.set_num_threads(1)
    register_env("FlatCausal", lambda _: FlatCausal())
    register_env("FlatBatchedCausal", lambda context: FlatBatchedCausal(context["num_envs"]))
    with ray_session(cpus=1):
        algorithm = configured(told).build_algo()
        meter, steps = Meter(told), 0
        for _ in range(told.task.iterations):
            finished.clear()
            result = algorithm.train()
            total = int(result["num_env_steps_sampled_lifetime"])
            meter.iteration(total - steps, float(np.mean(finished)) if finished else None)
            steps = total
        meter.report()
        algorithm.stop()


def configured(told: Asked) -> PPOConfig:
    task = told.task
    single = {"envs:CausalLearning-v0": "FlatCausal"}.get(task.env, task.env)
    vectorised = "vector_entry_point" if told.batched else "sync"
    config = PPOConfig().environment("FlatBatchedCausal" if told.batched else single)
    config.env_runners(
        num_env_runners=0,
        num_envs_per_env_runner=task.copies,
        rollout_fragment_length=task.batch // task.copies,
        gym_env_vectorize_mode=vectorised,
    )
    config.training(
        train_batch_size_per_learner=task.batch,
        minibatch_size=task.minibatch,
        num_epochs=task.epochs,
        lr=task.lr,
        gamma=task.gamma,
        lambda_=LAM,
        clip_param=CLIP,
        vf_clip_param=float("inf"),
        vf_loss_coeff=VALUE_COEF / 2,
        entropy_coeff=task.entropy_coef,
        use_kl_loss=False,
        grad_clip=GRAD_CLIP,
        grad_clip_by="global_norm",
    )
    model = DefaultModelConfig(
        fcnet_hiddens=list(task.hidden), fcnet_activation="tanh", vf_share_layers=False
    )
    config.rl_module(model_config=model)
    config.callbacks(Returns)
    config.debugging(seed=told.seed, log_level="ERROR")
    return config


if __name__ == "__main__":
    main()
