# pyright: basic
"""Ours. With remote runners their CPU time counts too."""

import time

import psutil
import torch

import algos
from algos.ppo import PPOSettings
from benchmarks.meter import Asked, Meter, asked
from benchmarks.settings import CLIP, GRAD_CLIP, LAM, VALUE_COEF
from tune_jobs.ray_session import ray_session


def main() -> None:
    told = asked()
    torch.set_num_threads(1)
    with ray_session(cpus=1 + told.runners):
        task = told.task
        env = "benchmarks.worlds:FlatCausal-v0" if told.batched else task.env
        algorithm = algos.build_algorithm(
            "ppo", env, {}, settings(told), iterations=task.iterations, seed=told.seed
        )
        meter, steps = Meter(told, total_cpu if told.runners else time.process_time), 0
        for _ in range(task.iterations):
            result = algorithm.train()
            meter.iteration(result["env_steps"] - steps, result.get("return_mean"))
            steps = result["env_steps"]
        meter.report()
        algorithm.stop()


def settings(told: Asked) -> PPOSettings:
    task = told.task
    return PPOSettings(
        gamma=task.gamma,
        lam=LAM,
        clip=CLIP,
        num_envs=task.copies,
        rollout_length=task.batch // (task.copies * max(told.runners, 1)),
        num_env_runners=told.runners,
        lr=task.lr,
        lr_schedule="constant",
        normalise_values=False,
        normalise_observations=False,
        epochs=task.epochs,
        minibatch_size=task.minibatch,
        grad_clip=GRAD_CLIP,
        value_coef=VALUE_COEF,
        entropy_coef=task.entropy_coef,
        hidden=task.hidden,
        model="mlp",
    )


def total_cpu() -> float:
    """CPU seconds of this process and of all remote runners."""
    total = time.process_time()
    for process in psutil.Process().children(recursive=True):
        if "ColumnRunner" in " ".join(process.cmdline()):
            times = process.cpu_times()
            total += times.user + times.system
    return total


if __name__ == "__main__":
    main()
