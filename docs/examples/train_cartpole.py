"""Train PPO on CartPole from Python, then act with the policy that it trained.

``python train_cartpole.py [RUN_DIRECTORY]`` takes about half a minute on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium

import rungwise
from algos.ppo import PPOSettings


def main(directory: Path) -> None:
    settings = PPOSettings(
        rollout_length=512, lr=1e-3, lr_schedule="linear", epochs=10, entropy_coef=0.0
    )
    job = rungwise.Job(env="CartPole-v1", settings=settings, iterations=15, evaluation_episodes=20)
    best = rungwise.run(job, directory).best
    if best is None or best.checkpoint is None:
        sys.exit("the trial has no checkpoint")
    print(f"return {best.score:.0f} after {best.iterations} iterations")

    policy = rungwise.Policy.load(directory / best.checkpoint)
    env = gymnasium.make("CartPole-v1")
    observation, _ = env.reset(seed=0)
    steps, done = 0, False
    while not done:
        observation, _, terminated, truncated, _ = env.step(policy.act(observation))
        steps, done = steps + 1, terminated or truncated
    print(f"one episode with the trained policy: {steps} steps")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/cartpole-example"))
