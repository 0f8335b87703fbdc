# pyright: basic
"""The runs by which the health rules are judged: sick ones with the names they may get, and well.

A case is trained with several seeds. Seeds alternate between the half on which thresholds may be
set and the half that is reported. A sick case has a control, the same run without the fault: what
costs no score against it is no fault.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from algos.ppo import PPOSettings

SICK, ENDLESS = "benchmarks.sick:SickCartPole-v0", "benchmarks.sick:EndlessCartPole-v0"
ARM, BANDIT = "benchmarks.sick:OneArm-v0", "toy_worlds:Bandit-v0"
SHOP, THINKING = "benchmarks.sick:Shop-v0", "benchmarks.sick:Thinking-v0"
NEAR, MOVING = "benchmarks.sick:NearGoal-v0", "benchmarks.sick:MovingArm-v0"
CAUSAL = "envs:CausalLearning-v0"
CARDS, CATCH = "memory_worlds:RepeatPrevious-v0", "memory_worlds:Catch-v0"

Row = Mapping[str, Any]


def read_return(row: Row) -> float:
    return row.get("return_mean", float("nan"))


def read_length(row: Row) -> float:
    """The return of CartPole, whatever a fault makes of its rewards."""
    return row.get("episode_length", float("nan"))


def read_success(row: Row) -> float:
    return row.get("success_rate", float("nan"))


def read_first_arm(row: Row) -> float:
    """How often the arm is chosen that pays more where not all arms pay alike."""
    return row["choice_fractions"][0]


def read_use_of_thoughts(row: Row) -> float:
    """How much more the reader believes the answer after the policy's thought than after any."""
    return row["log_p_with"] - row["log_p_random"]


@dataclass(frozen=True)
class Case:
    """One kind of run."""

    name: str
    symptoms: tuple[str, ...] = ()
    """Names that are right; none for a healthy run."""
    env: str = "CartPole-v1"
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    algo: str = "ppo"
    faulty: str = ""
    """A key of sick.FAULTY, trained instead of the algorithm."""
    iterations: int = 60
    settings: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1)
    sound: dict[str, Any] = field(default_factory=dict)
    """What its control has instead of these fields; by default the fault is left out."""
    score: Callable[[Row], float] = read_return
    """The score of an iteration: the same quantity with and without the fault."""

    @property
    def control(self) -> "Case":
        """The same run without the fault."""
        return replace(self, symptoms=(), **{"env_kwargs": {}, "faulty": ""} | self.sound)


def _sick(name, symptoms, *, fault="", **fields):
    """A CartPole with a fault."""
    env_kwargs = {"fault": fault} if fault else {}
    default = {"env": SICK, "env_kwargs": env_kwargs, "score": read_length}
    return Case(name, symptoms, **default | fields)


BASE = {
    "ppo": {
        "rollout_length": 128,
        "lr": 3e-4,
        "lr_schedule": "constant",
        "epochs": 4,
        "minibatch_size": 256,
        "normalise_values": False,
        "normalise_observations": False,
    }
}
"""Settings of all cases of an algorithm: a factor of rewards or observations is to be a fault."""
DEFAULTS = {f.name: f.default for f in fields(PPOSettings) if f.name in BASE["ppo"]}
SMALL = {"num_envs": 64, "rollout_length": 16, "minibatch_size": 64, "lr": 0.01, "hidden": (16,)}
GROUPS = SMALL | {"rollout_length": 8}
EPISODES = GROUPS | {"minibatch_size": 16, "starts": 64}
CLICKS = {"num_envs": 32, "rollout_length": 40, "minibatch_size": 128, "lr": 3e-3}
PENDULUM = {"num_envs": 16, "rollout_length": 200, "gamma": 0.9, "lr": 1e-3, "epochs": 10}
CARTPOLE = {"num_envs": 8, "rollout_length": 128, "lr": 1e-3}
PIXELS = CARTPOLE | {"epochs": 8, "hidden": (64,), "activation": "relu", "normalise_values": True}
MEMORY = CARTPOLE | {"epochs": 8, "hidden": (32,), "lr": 3e-3, "gamma": 0.5, "memory": "gru"}
SOUND, UNTUNED = {"settings": CARTPOLE}, {"settings": {}}

SICK_CASES = [
    _sick("no reward at all", ("zero_reward",), fault="no reward"),
    _sick("random reward", ("low_explained_variance", "entropy_stuck_at_max", "no_improvement"),
          fault="random reward"),
    _sick("action ignored", ("entropy_stuck_at_max", "no_improvement"), fault="ignores the action"),
    _sick("huge reward", ("reward_scale", "gradients_always_clipped"), fault="huge reward"),
    _sick("tiny reward", ("reward_scale", "zero_reward"), fault="tiny reward"),
    _sick("NaN reward", ("not_finite",), fault="NaN reward"),
    _sick("infinite observation", ("not_finite",), fault="infinite observation"),
    _sick("huge observation", ("observation_scale",), fault="huge observation"),
    _sick("constant observation", ("observation_constant",), fault="constant observation"),
    _sick("noise for observation",
          ("low_explained_variance", "entropy_stuck_at_max", "no_improvement"),
          fault="noise for observation"),
    _sick("never ends", ("no_episode_ends",), fault="never ends", env=ENDLESS,
          sound={"env_kwargs": {}, "env": SICK}),
    _sick("no success", ("no_success",), fault="no success"),
    Case("learning rate 1", ("kl_runaway", "update_ratio"), settings=CARTPOLE | {"lr": 1.0},
         sound=SOUND),
    Case("learning rate .1", ("kl_runaway", "update_ratio"), settings=CARTPOLE | {"lr": 0.1},
         sound=SOUND),
    Case("learning rate 1e-9", ("frozen_policy", "update_ratio"), settings={"lr": 1e-9},
         sound=UNTUNED),
    Case("clip 1e-6", ("frozen_policy", "clip_range_too_small"), settings={"clip": 1e-6},
         sound=UNTUNED),
    Case(
        "gradient clip 1e-11",
        ("frozen_policy", "gradients_always_clipped", "update_ratio"),
        settings={"grad_clip": 1e-11},
        sound=UNTUNED,
    ),
    Case(
        "entropy weight 10",
        ("entropy_stuck_at_max",),
        settings=CARTPOLE | {"entropy_coef": 10.0},
        sound=SOUND,
    ),
    Case("value weight 0", ("value_without_gradient", "low_explained_variance"),
         settings=CARTPOLE | {"value_coef": 0.0}, sound=SOUND),
    Case("policy detached", ("policy_without_gradient", "frozen_policy"), faulty="detached policy"),
    Case("value detached", ("value_without_gradient",), faulty="detached value",
         settings=CARTPOLE),
    Case("entropy detached", ("entropy_without_gradient",), MOVING, faulty="detached entropy",
         settings=SMALL | {"num_envs": 8, "lr": 0.03, "entropy_coef": 0.1}),
    Case("wrong sign", ("performance_collapse", "no_improvement"), faulty="wrong sign",
         settings=CARTPOLE),
    Case("shuffled advantages", ("entropy_stuck_at_max", "no_improvement"),
         faulty="shuffled advantages", settings=CARTPOLE),
    Case("values diverge", ("value_divergence",), faulty="diverging", settings=CARTPOLE),
    Case("critic of noise", ("low_explained_variance",), "Pendulum-v1", faulty="critic of noise",
         settings=PENDULUM | {"lr": 3e-4}),
    Case("saturated units", ("dead_units",), faulty="saturated", settings=CARTPOLE),
    Case("dead convolutions", ("encoder_constant",), CATCH, faulty="dead convolutions",
         settings=PIXELS, iterations=24),
    Case("closed gates", ("memory_unused",), CARDS, faulty="closed gates", settings=MEMORY,
         iterations=24),
    _sick("tiny observation", ("normaliser_without_spread",), fault="tiny observation",
          settings={"normalise_observations": True}),
    Case("V* too high", ("v_star_optimistic",), BANDIT, algo="astar_po", faulty="V* too high",
         settings=EPISODES),
    Case("V* too low", ("v_star_pessimistic",), BANDIT, algo="astar_po", faulty="V* too low",
         settings=EPISODES),
    Case("groups alike", ("groups_without_signal",), ARM, algo="grpo", settings=GROUPS,
         sound={"env_kwargs": {"alike": False}}, score=read_first_arm),
    Case(
        "collapsed at once",
        ("entropy_collapse", "no_exploration", "choice_concentration", "performance_collapse",
         "update_ratio"),
        ARM,
        {"alike": False},
        settings=SMALL | {"lr": 0.1, "entropy_coef": 0.0, "normalise_advantages": True},
        faulty="wrong sign",
        sound={"env_kwargs": {"alike": False}, "settings": SMALL},
    ),
    _sick("noise later", ("performance_collapse",), fault="noise for observation later",
          settings=CARTPOLE),
    Case("goal out of reach", ("constant_reward",), env="MountainCar-v0",
         settings={"num_envs": 8, "rollout_length": 200}, sound={"env": NEAR}),
    Case("relu at learning rate 1", ("kl_runaway", "dead_units", "update_ratio"),
         settings=CARTPOLE | {"lr": 1.0, "activation": "relu"},
         sound={"settings": CARTPOLE | {"activation": "relu"}}),
    Case("farmed shaping", ("reward_hacking",), SHOP, {"farmed": True}, settings=CLICKS,
         score=read_success),
    Case("thoughts for show", ("theatre",), THINKING, {"reader": "ignores"}, settings=SMALL,
         score=read_use_of_thoughts),
    Case("thoughts as a pause", ("theatre",), THINKING, {"reader": "pause"}, settings=SMALL,
         score=read_use_of_thoughts),
]  # fmt: skip

HEALTHY_CASES = [
    Case("CartPole, PPO", settings=CARTPOLE, seeds=(0, 1, 2, 3)),
    Case("CartPole, PPO, defaults", settings=DEFAULTS, iterations=25),
    Case("Pendulum, PPO, defaults", env="Pendulum-v1", settings=DEFAULTS),
    Case("CartPole, PPO, slow", settings={"num_envs": 8, "rollout_length": 256}, seeds=(0, 1)),
    Case("CartPole, PPO, defaults"),
    Case("CartPole, PPO, low learning rate", settings={"num_envs": 8, "lr": 1.5e-4}),
    Case("CartPole, PPO, relu", settings=CARTPOLE | {"activation": "relu"}, seeds=(2, 3)),
    Case("CartPole, PPO, no entropy bonus", settings=CARTPOLE | {"entropy_coef": 0.0}),
    Case("CartPole, PPO, fast", settings=CARTPOLE | {"lr": 3e-3}, seeds=(4, 5)),
    Case("CartPole, REINFORCE", algo="reinforce",
         settings=CARTPOLE | {"minibatch_size": 256}, seeds=(0, 1)),
    Case("CartPole, GRPO", algo="grpo", settings={"num_envs": 32, "lr": 1e-3}, seeds=(0, 1)),
    Case("Acrobot, PPO", env="Acrobot-v1",
         settings={"num_envs": 16, "rollout_length": 256, "lr": 1e-3, "epochs": 4}, seeds=(0, 1)),
    Case("Acrobot, PPO, few copies", env="Acrobot-v1",
         settings={"num_envs": 8, "rollout_length": 256, "lr": 1e-3}),
    Case("Blackjack, PPO", env="Blackjack-v1",
         settings={"num_envs": 32, "rollout_length": 32, "lr": 3e-3}),
    Case("Pendulum, PPO, low learning rate", env="Pendulum-v1", settings=PENDULUM | {"lr": 3e-4},
         seeds=(4, 5)),
    Case("Pendulum, PPO, beta", env="Pendulum-v1",
         settings=PENDULUM | {"value_distribution": "beta"}, seeds=(2, 3)),
    Case("Pendulum, PPO", env="Pendulum-v1", settings=PENDULUM, seeds=(0, 1)),
    Case("CausalLearning, PPO", env=CAUSAL, iterations=40,
         settings={"num_envs": 64, "rollout_length": 20, "gamma": 1.0, "lr": 1e-3},
         seeds=(0, 1, 2, 3)),
    Case("CausalLearning, REINFORCE", env=CAUSAL, algo="reinforce", iterations=40,
         settings={"num_envs": 64, "rollout_length": 20, "gamma": 1.0, "lr": 1e-3}, seeds=(0, 1)),
    Case("CausalLearning, A*-PO", env=CAUSAL, algo="astar_po", iterations=40,
         settings={"num_envs": 64, "rollout_length": 10, "lr": 3e-4}),
    Case("CausalLearning, GRPO", env=CAUSAL, algo="grpo", iterations=40,
         settings={"num_envs": 64, "rollout_length": 10, "lr": 1e-3}, seeds=(0, 1)),
    Case("CausalLearning, DPO", env=CAUSAL, algo="dpo", iterations=40,
         settings={"num_envs": 32, "rollout_length": 10, "pairs": "candidates", "lr": 1e-3},
         seeds=(0, 1)),
    Case("Bandit, PPO", env=BANDIT, settings=SMALL, seeds=(0, 1)),
    Case("Bandit, GRPO", env=BANDIT, algo="grpo", settings=GROUPS, seeds=(0, 1)),
    Case("Bandit, DPO", env=BANDIT, algo="dpo", settings=GROUPS | {"minibatch_size": 8},
         seeds=(0, 1)),
    Case("Bandit, A*-PO", env=BANDIT, algo="astar_po", settings=EPISODES | {"beta": 0.05},
         seeds=(0, 1)),
    Case("Bandit, REINFORCE", env=BANDIT, algo="reinforce", settings=SMALL),
    Case("FrozenLake, REINFORCE", env="FrozenLake-v1", env_kwargs={"is_slippery": False},
         algo="reinforce", settings={"num_envs": 32, "rollout_length": 64, "lr": 1e-2}),
    Case("FrozenLake, slippery, PPO", env="FrozenLake-v1",
         settings={"num_envs": 32, "rollout_length": 128, "lr": 3e-3}),
    Case("FrozenLake, PPO", env="FrozenLake-v1", env_kwargs={"is_slippery": False},
         settings={"num_envs": 16, "rollout_length": 64, "lr": 3e-3}, seeds=(0, 1)),
    Case("Catch, PPO", env=CATCH, settings=PIXELS, iterations=24),
    Case("Cards, PPO, memory", env=CARDS, settings=MEMORY, iterations=40),
    Case("CartPole, PPO, memory", settings=DEFAULTS | {"memory": "gru"}, iterations=25),
    Case("Shop, PPO", env=SHOP, settings=CLICKS),
    Case("Thinking, PPO", env=THINKING, settings=SMALL),
    Case("Thinking, PPO, low learning rate", env=THINKING, settings=SMALL | {"lr": 1e-3}),
]  # fmt: skip
