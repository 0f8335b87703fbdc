# pyright: basic, reportMissingImports=false
"""PPO of Stable-Baselines3 on CartPole; logs progress.csv."""

from arguments import parse_arguments
from environments import make_cartpole
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure

args = parse_arguments(lr=1e-3, steps=20_480, ent_coef=0.01)
envs = make_vec_env(lambda: make_cartpole(args.fault), n_envs=4, seed=args.seed)
model = PPO(
    "MlpPolicy", envs, learning_rate=args.lr, ent_coef=args.ent_coef, n_steps=64, batch_size=128,
    n_epochs=4, gamma=0.98, seed=args.seed, device="cpu",
)  # fmt: skip
model.set_logger(configure(args.logdir, ["csv"]))
model.learn(args.steps)
