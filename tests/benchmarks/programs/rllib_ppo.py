# pyright: basic, reportArgumentType=false
"""PPO of RLlib on CartPole, run by Tune; logs result.json and progress.csv."""

from pathlib import Path

import ray
from arguments import parse_arguments
from environments import make_cartpole
from ray import tune
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.tune.registry import register_env

args = parse_arguments(lr=1e-3, steps=16_384, ent_coef=0.0)
register_env("cartpole", lambda options: make_cartpole(args.fault))
config = (
    PPOConfig()
    .environment("cartpole")
    .env_runners(num_env_runners=0, num_envs_per_env_runner=4)
    .training(
        train_batch_size=256, minibatch_size=128, num_epochs=4, lr=args.lr, grad_clip=0.5,
        entropy_coeff=args.ent_coef,
    )
    .debugging(seed=args.seed)
)  # fmt: skip
ray.init(address="local", num_cpus=1, include_dashboard=False)
tune.Tuner(
    PPO,
    param_space=config,
    run_config=tune.RunConfig(
        storage_path=str(Path(args.logdir).absolute()),
        stop={"num_env_steps_sampled_lifetime": args.steps},
        verbose=0,
    ),
).fit()
