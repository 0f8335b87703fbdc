# pyright: basic, reportMissingImports=false
"""The panel: environments that are not ours, with what must be reached on them.

Musts and goals are returns, with the published figures of RL-Baselines3-Zoo (`benchmark.md`, PPO)
as a measure. SB3's settings are those of the Zoo (`hyperparams/ppo.yml`) where it has some.
"""

from dataclasses import dataclass, field
from typing import Any

from tune_jobs.jobs.job_yaml import load_job

LARGE = {"log_std_init": -2, "ortho_init": False, "activation_fn": "relu", "net_arch": [256, 256]}


@dataclass(frozen=True)
class SB3:
    """Settings of SB3's PPO; by default its own."""

    envs: int = 8
    normalise: bool = False
    """Whether observations and rewards are normalised by `VecNormalize`."""
    settings: dict[str, Any] = field(default_factory=lambda: {"n_steps": 256})
    linear: tuple[str, ...] = ()
    """Settings that fall linearly to 0."""


ATARI = SB3(
    8,
    settings={"n_steps": 128, "n_epochs": 4, "batch_size": 256, "ent_coef": 0.01}
    | {"learning_rate": 2.5e-4, "clip_range": 0.1, "policy_kwargs": {"features": "small_images"}},
    linear=("learning_rate", "clip_range"),
)

SHORT = SB3(1, settings={})
"""All of SB3's own defaults: one copy, 2,048 steps an update."""


@dataclass(frozen=True)
class Task:
    """An environment, its budget of steps, and the return that has to be reached."""

    env: str
    steps: int
    must: float | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of ours that differ from the defaults: what the task is about."""
    preset: str = ""
    """Preset that is trained in place of the defaults, with its own steps."""
    sb3: SB3 = SB3()
    seeds: int = 3


GOALS = {
    "acrobot": -78,
    "lunarlander": 255,
    "minigrid-doorkey": 0.95,
    "minigrid-empty": 0.95,
    "minigrid-memory": 0.95,
    "mountaincar": -115,
    "mountaincar-continuous": 90,
    "pendulum": -172,
    "repeat-previous": 0.95,
}
"""Preset of the zoo -> the return that it has to reach."""

TASKS = {
    "cartpole": Task("CartPole-v1", 50_000, 475),
    "grid": Task("benchmarks.slippery_grid:SlipperyGrid-v0", 40_000, -2, sb3=SHORT),
    "frozen_lake": Task("FrozenLake-v1", 40_000, sb3=SHORT),
    "cliff": Task("CliffWalking-v1", 40_000, kwargs={"max_episode_steps": 500}, sb3=SHORT),
    "acrobot": Task("Acrobot-v1", 200_000, -90),
    "pendulum": Task(
        "Pendulum-v1",
        120_000,
        -250,
        sb3=SB3(
            4,
            settings={"n_steps": 1024, "gamma": 0.9, "learning_rate": 1e-3, "ent_coef": 0.0}
            | {"use_sde": True, "sde_sample_freq": 4},
        ),
    ),
    "mountaincar": Task("MountainCarContinuous-v0", 100_000),
    "lander": Task(
        "LunarLander-v3",
        250_000,
        200,
        sb3=SB3(
            16,
            settings={"n_steps": 1024, "gae_lambda": 0.98, "gamma": 0.999, "n_epochs": 4}
            | {"ent_coef": 0.01},
        ),
    ),
    "lander_long": Task("LunarLander-v3", 500_000, 220, seeds=2),
    "lander_continuous": Task("LunarLander-v3", 300_000, 170, {"continuous": True}),
    "cheetah": Task(
        "HalfCheetah-v5",
        300_000,
        1500,
        sb3=SB3(
            1,
            normalise=True,
            settings={"n_steps": 512, "gamma": 0.98, "learning_rate": 2.0633e-05}
            | {"ent_coef": 0.000401762, "clip_range": 0.1, "n_epochs": 20, "gae_lambda": 0.92}
            | {"max_grad_norm": 0.8, "vf_coef": 0.58096, "policy_kwargs": LARGE},
        ),
    ),
    "hopper": Task("Hopper-v5", 1_000_000, seeds=2),
    "walker": Task("Walker2d-v5", 1_000_000, seeds=2),
    "breakout": Task("minatar:MinAtar/Breakout-v1", 2_000_000, sb3=ATARI, seeds=2),
    "invaders": Task("minatar:MinAtar/SpaceInvaders-v1", 2_000_000, sb3=ATARI, seeds=2),
    "asterix": Task("minatar:MinAtar/Asterix-v1", 2_000_000, sb3=ATARI, seeds=2),
    "doorkey": Task("envs.zoo:DoorKey-5x5-v0", 200_000, 0.9),
    "empty": Task("envs.zoo:Empty-8x8-v0", 200_000, 0.9),
}
"""What the defaults learn, by name."""

PRESETS = {
    name: Task((job := load_job(name)).env, job.steps, goal, job.env_kwargs, preset=name)
    for name, goal in GOALS.items()
}
"""What the presets of the zoo learn, by preset."""
