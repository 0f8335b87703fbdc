# pyright: basic, reportMissingImports=false
"""SBX, Stable-Baselines3's PPO in JAX: runs where somebody has installed sbx-rl.

Not part of the extra: it needs a nightly build of TensorFlow Probability, which no file can pin for
long. Compiling falls into the first iteration: it is not in the rate, but in the time to the goal.
"""

import flax.linen as nn
from sbx import PPO

from benchmarks.contestants.sb3_ppo import compete
from benchmarks.meter import asked
from benchmarks.settings import ADAM_EPS


def main() -> None:
    told = asked()
    policy = {
        "net_arch": list(told.task.hidden),
        "activation_fn": nn.tanh,
        "optimizer_kwargs": {"eps": ADAM_EPS},
    }
    compete(PPO, told, policy_kwargs=policy)


if __name__ == "__main__":
    main()
