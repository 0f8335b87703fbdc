# pyright: basic
"""The runs of SB3 and of stock RLlib by which `rungwise doctor` is judged.

The names that are right for a fault were written down before any rule had seen its runs. Seeds
from ``REPORTED_FROM`` on are the half that is reported, those below the half on which readers and
thresholds may be set; a fault comes with another algorithm or task in the other half where it can.
"""

from dataclasses import dataclass, field
from typing import Any

REPORTED_FROM = 100
"""The first seed of the half that is reported."""


@dataclass(frozen=True)
class Case:
    """One kind of run."""

    kind: str
    """The fault; "healthy" for none."""
    symptoms: tuple[str, ...] = ()
    """Names that are right; none for a healthy run."""
    algo: str = "PPO"
    env: str = "CartPole"
    fault: str = ""
    """What is wrong in the environment, for foreign_worlds.Faulty."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Over those of the algorithm and the task."""
    steps: int = 20_000
    seeds: tuple[int, ...] = ()
    tool: str = "SB3"
    advantages: str = ""
    """What is done to the advantages of each rollout: "negated", or "shuffled" without their mean,
    which alone says of a whole rollout whether it was a good one: A2C learns from that."""

    def name(self, seed: int) -> str:
        return f"{self.kind}, {self.tool} {self.algo} {self.env}, seed {seed}"


BLIND = ("reward_blind_to_action", "no_improvement", "low_explained_variance")
HOT = ("kl_runaway", "entropy_collapse", "learning_rate_too_high")
COLD = ("frozen_policy", "learning_rate_too_low")
NO_PAY = ("constant_reward", "zero_reward")
UNIFORM = ("entropy_stuck_at_max", "entropy_coef_too_high")
MYOPIC = ("gamma_too_low", "no_improvement", "entropy_stuck_at_max")
LOST = ("performance_collapse",)


def _later(late: float):
    """A learning rate that is too high from the middle on; the share that is left goes from 1."""
    return lambda left: 1e-3 if left > 0.5 else late


def _env(fault: str, symptoms: tuple[str, ...], *variants: Case) -> list[Case]:
    """A fault of the environment, in several algorithms and tasks."""
    return [
        Case(fault, symptoms, v.algo, v.env, fault, v.settings, v.steps, v.seeds, v.tool)
        for v in variants
    ]


def _set(kind: str, symptoms: tuple[str, ...], *variants: Case) -> list[Case]:
    """A fault of the settings."""
    return [
        Case(kind, symptoms, v.algo, v.env, "", v.settings, v.steps, v.seeds, v.tool)
        for v in variants
    ]


def _v(algo="PPO", env="CartPole", *seeds: int, steps=20_000, tool="SB3", **settings) -> Case:
    return Case("", (), algo, env, "", settings, steps, seeds, tool)


def _rllib(env="CartPole", *seeds: int, steps=15_000, **settings) -> Case:
    return _v("PPO", env, *seeds, steps=steps, tool="RLlib", **settings)


SICK = [
    *_env("no reward", NO_PAY, _v("PPO", "CartPole", 0, 1), _v("A2C", "Match", 3),
          _v("DQN", "CartPole", 2), _rllib("CartPole", 4, 5, 141), _v("A2C", "CartPole", 100),
          _v("PPO", "Match", 140)),
    *_env("same reward", ("constant_reward",), _v("PPO", "CartPole", 0, 142),
          _v("A2C", "CartPole", 1), _v("A2C", "Match", 101)),
    *_env("random reward", BLIND, _v("PPO", "CartPole", 0, 1), _v("A2C", "Match", 3, 103),
          _rllib("CartPole", 4, 5, 102), _v("PPO", "Match", 143), _v("A2C", "CartPole", 144)),
    *_env("action ignored", (*BLIND[:2], "entropy_stuck_at_max"), _v("PPO", "CartPole", 0, 1),
          _v("A2C", "Match", 2, 3), _v("PPO", "Match", 100), _v("A2C", "CartPole", 145)),
    *_env("constant observation", ("observation_constant", *BLIND[1:]),
          _v("PPO", "CartPole", 0), _v("A2C", "CartPole", 1), _v("PPO", "Match", 2, 3),
          _rllib("CartPole", 5), _rllib("Match", 101), _v("A2C", "Match", 146)),
    *_env("noise for observation", BLIND[1:], _v("PPO", "CartPole", 0, 1, 147),
          _v("PPO", "Match", 3), _rllib("CartPole", 4), _v("A2C", "Match", 102),
          _rllib("Match", 148)),
    *_env("reward x 1e5", ("reward_scale", "frozen_policy"), _v("PPO", "CartPole", 0, 1, 103),
          _v("A2C", "CartPole", 3), _rllib("CartPole", 4, 5, 104), _v("A2C", "Match", 149)),
    *_env("reward x 1e-8", ("reward_scale", "frozen_policy"), _v("A2C", "CartPole", 0, 1)),
    *_env("reward x 1e-6", ("reward_scale", "frozen_policy"), _v("A2C", "CartPole", 4, 105),
          _v("A2C", "Match", 150)),
    *_env("NaN reward", ("not_finite",), _v("PPO", "CartPole", 0, 1, 106),
          _v("DQN", "CartPole", 2, 107), _v("A2C", "CartPole", 3), _rllib("CartPole", 4, 5, 151),
          _v("A2C", "Match", 152)),
    *_env("never ends", ("no_episode_ends",), _v("PPO", "CartPole", 0), _v("A2C", "CartPole", 1),
          _rllib("CartPole", 4, 5, 153), _v("A2C", "Match", 108), _v("PPO", "Match", 154)),
    *_env("one step", ("constant_reward", "episode_length"),
          _v("PPO", "CartPole", 0, 109), _v("A2C", "CartPole", 1, 155)),
    *_env("noise later", LOST, _v("PPO", "CartPole", 0, steps=25_000),
          _v("A2C", "Match", 1, steps=40_000), _v("PPO", "Match", 110, steps=25_000),
          _v("A2C", "CartPole", 156, steps=40_000)),
    *_env("sign flips", LOST, _v("PPO", "Match", 0), _v("PPO", "CartPole", 1, 157, steps=25_000),
          _v("A2C", "Match", 111, steps=40_000)),
    *_set("goal out of reach", (*NO_PAY, "no_success"), _v("PPO", "MountainCar", 0, 112),
          _v("DQN", "MountainCar", 3, 158), _rllib("MountainCar", 4, 159)),
    *_set("learning rate 10", HOT, _v("PPO", "CartPole", 0, 1, 160, learning_rate=10.0),
          _v("A2C", "CartPole", 2, 3, 113, learning_rate=10.0),
          _rllib("CartPole", 4, 114, lr=10.0)),
    *_set("learning rate .1 or 1", HOT, _v("A2C", "Match", 0, learning_rate=0.1),
          _v("PPO", "Match", 1, learning_rate=0.1), _v("PPO", "Match", 4, 115, learning_rate=1.0),
          _v("A2C", "Match", 161, learning_rate=1.0)),
    *_set("learning rate 1e-9", COLD, _v("PPO", "CartPole", 0, 1, 163, learning_rate=1e-9),
          _v("A2C", "CartPole", 3, learning_rate=1e-9),
          _v("PPO", "Reach", 2, 162, learning_rate=1e-9),
          _v("A2C", "Match", 116, learning_rate=1e-9), _rllib("CartPole", 4, 117, lr=1e-12)),
    *_set("learning rate 1 later", ("performance_collapse", *HOT[::2]),
          _v("PPO", "CartPole", 0, 118, learning_rate=_later(1.0), steps=25_000),
          _v("A2C", "Match", 3, 164, learning_rate=_later(1.0), steps=40_000)),
    *_set("clip 1e-7", ("clip_range_too_small", "frozen_policy"),
          _v("PPO", "CartPole", 0, 1, 165, clip_range=1e-7),
          _v("PPO", "Match", 119, clip_range=1e-7)),
    *_set("gradient clip 1e-9", ("frozen_policy", "gradients_always_clipped"),
          _v("PPO", "CartPole", 0, max_grad_norm=1e-9),
          _v("A2C", "CartPole", 3, 166, max_grad_norm=1e-9),
          _v("PPO", "Match", 120, max_grad_norm=1e-9)),
    *_set("entropy weight 100", UNIFORM, _v("PPO", "CartPole", 0, 168, ent_coef=100.0),
          _v("A2C", "CartPole", 1, ent_coef=100.0), _v("PPO", "Match", 2, ent_coef=100.0),
          _rllib("CartPole", 4, 167, entropy_coeff=100.0), _v("A2C", "Match", 121, ent_coef=100.0)),
    *_set("entropy weight 5 or 50, continuous", ("std_blowup", "entropy_coef_too_high"),
          _v("PPO", "Pendulum", 0, 169, ent_coef=5.0), _v("PPO", "Reach", 1, ent_coef=5.0),
          _v("PPO", "Reach", 4, 122, ent_coef=50.0)),
    *_set("gamma 0", MYOPIC, _v("PPO", "CartPole", 0, 123, gamma=0.0),
          _v("A2C", "CartPole", 3, 170, gamma=0.0), _rllib("CartPole", 4, 124, gamma=0.0)),
    *_set("value weight 0", ("low_explained_variance", "value_without_gradient"),
          _v("PPO", "Pendulum", 0, 125, 171, vf_coef=0.0), _v("A2C", "CartPole", 1, vf_coef=0.0)),
    *_set("gamma 1.2", ("value_divergence",), _v("DQN", "CartPole", 0, 1, gamma=1.2),
          _v("DQN", "CartPole", 126, 172, gamma=1.2, steps=10_000)),
    *_set("only exploration", ("exploration_never_decays",),
          _v("DQN", "CartPole", 0, 173, exploration_final_eps=1.0, steps=15_000),
          _v("DQN", "Match", 3, 127, exploration_final_eps=1.0, steps=15_000)),
    *_set("no exploration", ("no_exploration", "constant_reward"),
          _v("DQN", "FrozenLake", 0, 1, exploration_initial_eps=0.0, exploration_final_eps=0.0,
             steps=15_000, learning_starts=1),
          _v("DQN", "FrozenLake", 128, 174, exploration_initial_eps=0.0, exploration_final_eps=0.0,
             steps=10_000, learning_starts=1)),
    *_set("learning never starts", ("no_updates",),
          _v("DQN", "CartPole", 0, 129, learning_starts=10**9),
          _v("DQN", "Match", 3, 175, learning_starts=10**9)),
    *(Case("advantages negated", ("performance_collapse", "no_improvement"), algo, env,
           seeds=seeds, advantages="negated")
      for algo, env, seeds in (("PPO", "CartPole", (0, 177)), ("A2C", "Match", (3, 176)),
                               ("PPO", "Match", (130,)))),
    *(Case("advantages shuffled", ("no_improvement", "entropy_stuck_at_max"), algo, env,
           seeds=seeds, advantages="shuffled")
      for algo, env, seeds in (("PPO", "CartPole", (0, 178)), ("A2C", "Match", (1, 4, 131)))),
]  # fmt: skip

RARELY: dict[str, Any] = {"train_freq": 8, "gradient_steps": 1}
HEALTHY = _set(
    "healthy", (),
    _v("PPO", "CartPole", 10, 11, 12, 13, steps=30_000),
    _v("PPO", "CartPole", 14, 15, steps=30_000, ent_coef=0.0, gamma=0.99, learning_rate=5e-4),
    _v("PPO", "CartPole", 16, 100, 101, 102, 105, 106, steps=24_000),
    _v("PPO", "CartPole", 103, 104, 107, steps=24_000, ent_coef=0.01, gamma=0.99),
    _v("A2C", "CartPole", 10, 11, 12, 13, steps=50_000),
    _v("A2C", "CartPole", 14, 100, 101, 102, 103, 104, 105, steps=35_000),
    _v("DQN", "CartPole", 10, 12, steps=30_000),
    _v("DQN", "CartPole", 13, 100, 101, steps=50_000),
    _v("PPO", "Acrobot", 10, steps=60_000),
    _v("PPO", "Acrobot", 11, 101, 102, steps=40_000),
    _v("PPO", "Pendulum", 10, steps=60_000),
    _v("PPO", "Pendulum", 11, 100, 101, 102, steps=50_000),
    _v("SAC", "Pendulum", 10, steps=6_000),
    _v("PPO", "FrozenLake", 10, 102, 103, steps=20_000),
    _v("DQN", "FrozenLake", 10, steps=20_000),
    _v("PPO", "Match", 10, 11, 12, 100, 101, 102, 103),
    _v("A2C", "Match", 10, 11, 12, 14, 15, 100, 101, 102, 103, 104, steps=30_000),
    _v("DQN", "Match", 10, 11, steps=20_000),
    _v("DQN", "Match", 12, 100, 101, 102, steps=16_000, **RARELY),
    _v("PPO", "Reach", 10, 11, steps=30_000),
    _v("PPO", "Reach", 12, 100, 101, 102, steps=20_000),
    _v("TD3", "Reach", 11, steps=5_000),
    _v("TD3", "Reach", 102, 103, steps=3_000),
    _rllib("CartPole", 10, 11, 12, 13, 100, 101, 102, 103, 104, steps=20_000),
    _rllib("Match", 11, 12, 101, 102, 103),
)  # fmt: skip

CASES = (*SICK, *HEALTHY)
