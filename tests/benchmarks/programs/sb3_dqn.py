# pyright: basic, reportMissingImports=false
"""DQN of Stable-Baselines3 on CartPole; logs progress.csv, a row for 4 episodes."""

from arguments import parse_arguments
from environments import make_cartpole
from stable_baselines3 import DQN
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor

args = parse_arguments(lr=2.3e-3, steps=24_000)
model = DQN(
    "MlpPolicy", Monitor(make_cartpole(args.fault)), learning_rate=args.lr, batch_size=64,
    buffer_size=50_000, learning_starts=1000, gamma=0.99, target_update_interval=10,
    train_freq=256, gradient_steps=128, exploration_fraction=0.16, exploration_final_eps=0.04,
    seed=args.seed, device="cpu",
)  # fmt: skip
model.set_logger(configure(args.logdir, ["csv"]))
model.learn(args.steps, log_interval=4)
