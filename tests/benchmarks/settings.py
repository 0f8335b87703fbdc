# pyright: basic
"""The settings that all contestants share: a ratio means something only where these are equal."""

from dataclasses import dataclass, replace

LAM = 0.95
CLIP = 0.2
VALUE_COEF = 0.5
"""Weight of *half* the squared error of the value, as in our own loss and CleanRL's. SB3 and RLlib
have no half in theirs: they get half of this, so that all minimise the same function."""
GRAD_CLIP = 0.5
ADAM_EPS = 1e-5


@dataclass(frozen=True)
class Task:
    """An environment and how to learn it."""

    env: str
    copies: int
    """Copies of the environment, B."""
    batch: int
    """Rows of an iteration, over all copies (and runners)."""
    minibatch: int
    epochs: int
    lr: float
    gamma: float
    entropy_coef: float
    hidden: tuple[int, int]
    iterations: int
    """The first one warms up: it is not part of the rate."""
    goal: float | None = None
    """Mean return that counts as solved."""


SB3S = Task(
    env="",
    copies=8,
    batch=2048,
    minibatch=64,
    epochs=10,
    lr=3e-4,
    gamma=0.99,
    entropy_coef=0.0,
    hidden=(64, 64),
    iterations=8,
)
"""SB3's own settings, over eight copies, as in its Zoo."""
CARTPOLE = replace(
    SB3S, env="CartPole-v1", batch=4096, minibatch=256, lr=1e-3, iterations=15, goal=475
)
TASKS = {
    "cartpole": CARTPOLE,
    "cartpole_64": replace(CARTPOLE, copies=64, epochs=4, iterations=30),
    "lander": replace(SB3S, env="LunarLander-v3"),
    "cheetah": replace(SB3S, env="HalfCheetah-v5"),
    "breakout": replace(SB3S, env="minatar:MinAtar/Breakout-v1"),
    # Like the preset `causal`: two whole episodes of each of 128 copies.
    "causal": replace(
        SB3S,
        env="envs:CausalLearning-v0",
        copies=128,
        batch=2560,
        minibatch=512,
        epochs=4,
        lr=2e-3,
        gamma=1.0,
        entropy_coef=2e-3,
        hidden=(128, 128),
    ),
    # The environment costs a thousand times what learning from one of its rows does.
    "dear": replace(
        SB3S,
        env="benchmarks.worlds:DearCartPole-v0",
        batch=1024,
        minibatch=256,
        epochs=4,
        lr=1e-3,
    ),
}
