# pyright: basic
"""Faults to be found: environments and algorithms with something wrong in them.

Everything here is planted from outside; the product has no switch for any of it.
"""

import gymnasium
import numpy as np
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv
from sick_objectives import replace_hooks, replace_terms
from sick_worlds import FixedLength

from algos.astar_po import AStarPO
from algos.ppo import PPO


class SickCartPole(CartPoleEnv):
    """CartPole with one fault."""

    def __init__(self, fault=""):
        super().__init__()
        self.fault, self.count = fault, 0
        if "observation" in fault:
            self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32)

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        return self._seen(observation), info

    def step(self, action):
        self.count += 1
        drawn = self.np_random.random()
        if self.fault == "ignores the action":
            action = int(drawn < 0.5)
        observation, reward, terminated, truncated, info = super().step(action)
        if self.fault == "never ends":
            if terminated:
                self.state = self.np_random.uniform(-0.05, 0.05, 4)
            self.steps_beyond_terminated = None
            terminated = False
        elif self.fault == "no success":
            info = info | {"is_success": False}
        return self._seen(observation), self._paid(reward), terminated, truncated, info

    def _paid(self, reward):
        if self.fault in ("random reward", "no success"):
            return float(self.np_random.normal())
        if self.fault == "NaN reward" and self.count > 1000:
            return float("nan")
        factors = {"no reward": 0.0, "tiny reward": 1e-6, "huge reward": 1e4}
        return factors.get(self.fault, 1.0) * reward

    def _seen(self, observation):
        if self.fault == "constant observation":
            return np.ones_like(observation)
        if self.fault == "tiny observation":
            return (1e-9 * observation).astype(np.float32)
        if self.fault == "huge observation":
            return (1e4 + 1e-2 * observation).astype(np.float32)
        if self.fault == "infinite observation" and self.count > 1000:
            return observation + np.float32("inf")
        late = self.fault == "noise for observation later" and self.count > 1500
        if self.fault == "noise for observation" or late:
            return self.np_random.normal(size=4).astype(np.float32)
        return observation


class NearGoal(MountainCarEnv):
    """MountainCar whose goal is near enough that random play meets it."""

    def __init__(self):
        super().__init__()
        self.goal_position = -0.3


class Arms(FixedLength):
    """Four arms, pulled eight times in an episode."""

    observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(4)
    length = 8


class OneArm(Arms):
    """Arms that all pay alike, or one that pays more from the start: nothing to explore."""

    def __init__(self, alike=True):
        self.alike = alike

    def paid(self, action):
        return 1.0 if self.alike else float(self.np_random.normal() + (action == 0))

    def _seen(self):
        return np.ones(2, np.float32)


class MovingArm(Arms):
    """One arm pays, and another one later: who has ceased to explore is lost."""

    MOVES = 480  # steps of each copy, half of what it is trained for

    def __init__(self):
        self.count = 0

    def paid(self, action):
        self.count += 1
        return float(action == (self.count > self.MOVES))

    def _seen(self):
        return self.np_random.random(2, np.float32)


class Shop(gymnasium.Env):
    """The shopping post-mortem in small: open a page, then buy what is wanted, in twenty steps.

    Farmed, every click pays 0.2 again; else the page's potential is paid once and taken back.
    """

    ITEMS, CLICK, STEPS, PAGE = 4, 4, 20, 0.2
    observation_space = gymnasium.spaces.Box(0, 1, (5,), np.float32)
    action_space = gymnasium.spaces.Discrete(5)

    def __init__(self, farmed=False, gamma=0.99):
        self.farmed, self.gamma = farmed, gamma

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.wanted, self.open, self.steps = int(self.np_random.integers(self.ITEMS)), False, 0
        return self._seen(), {}

    def step(self, action):
        self.steps += 1
        was, bought = self.PAGE * self.open, action != self.CLICK and self.open
        success = bool(bought and action == self.wanted)
        self.open |= action == self.CLICK
        now = 0.0 if bought else self.PAGE * self.open
        paid = self.PAGE * (action == self.CLICK) if self.farmed else self.gamma * now - was
        truncated = self.steps == self.STEPS and not bought
        return self._seen(), paid + success, bool(bought), truncated, {"is_success": success}

    def _seen(self):
        return np.array([*np.eye(self.ITEMS)[self.wanted], self.open], np.float32)


class Thinking(gymnasium.Env):
    """One thought about a context, then a fixed reader answers; all four comparisons are exact.

    The reader ``uses`` the thought, ``ignores`` it, or takes any ``pause`` for help. Where it does
    not use it, the reward has a bonus for a thought that looks well.
    """

    CONTEXTS = 5
    observation_space = gymnasium.spaces.Box(0, 1, (5,), np.float32)
    action_space = gymnasium.spaces.Discrete(5)

    def __init__(self, reader="uses"):
        self.reader, self.context, self.thought = reader, 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.other = self.thought  # what was thought about another context
        self.context += 1 + int(self.np_random.integers(self.CONTEXTS - 1))
        self.context %= self.CONTEXTS
        return np.eye(self.CONTEXTS, dtype=np.float32)[self.context], {}

    def step(self, action):
        self.thought = int(action)
        told = {
            "log_p_with": self._log_p(self.thought),
            "log_p_without": self._log_p(None),
            "log_p_shuffled": self._log_p(self.other),
            "log_p_random": float(np.mean([self._log_p(t) for t in range(self.CONTEXTS)])),
        }
        bonus = 0.5 * (self.reader != "uses" and self.thought == 0)
        reward = told["log_p_with"] - told["log_p_without"] + bonus
        return np.eye(self.CONTEXTS, dtype=np.float32)[self.context], reward, True, False, told

    def _log_p(self, thought):
        """The log-probability that the reader gives to the answer after a thought."""
        answer = (2 * self.context + 1) % self.CONTEXTS
        logits = np.zeros(self.CONTEXTS)
        if self.reader == "ignores":
            logits[answer] = 1.0
        elif thought is not None:
            logits[thought if self.reader == "uses" else answer] = 4.0
        return float(logits[answer] - np.log(np.exp(logits).sum()))


gymnasium.register("Shop-v0", "benchmarks.sick:Shop")
gymnasium.register("Thinking-v0", "benchmarks.sick:Thinking")
gymnasium.register("SickCartPole-v0", "benchmarks.sick:SickCartPole", max_episode_steps=500)
gymnasium.register("EndlessCartPole-v0", "benchmarks.sick:SickCartPole")
gymnasium.register("OneArm-v0", "benchmarks.sick:OneArm")
gymnasium.register("MovingArm-v0", "benchmarks.sick:MovingArm")
gymnasium.register("NearGoal-v0", "benchmarks.sick:NearGoal", max_episode_steps=200)


def detached(term):
    """PPO with one term of its loss cut off from the network."""
    cut = lambda terms, _: {term: terms[term].detach()}  # noqa: E731
    return replace_terms(PPO, cut, name=f"Detached{term}")


def with_rows(base, change, name):
    """``base`` whose learners get ``change(rows)``."""

    def preprocess_batch(self, rows):
        rows, metrics = base.objective_class.preprocess_batch(self, rows)
        return change(rows), metrics

    return replace_hooks(base, name, preprocess_batch=preprocess_batch)


def shuffle_column(rows, column):
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    return rows.with_columns(**{column: rows[column][order]})


def with_rollout(change, name):
    """PPO whose advantages are those of ``change(rollout)``, changed in place."""

    def compute_advantages(self, rollout):
        change(rollout)
        return PPO.objective_class.compute_advantages(self, rollout)

    return replace_hooks(PPO, name, compute_advantages=compute_advantages)


def forget_future(rollout):
    """Take every step for the last one: no bootstrapping, no future."""
    rollout.next_values = np.zeros_like(rollout.next_values)
    rollout.done = np.ones_like(rollout.done)


def chase_values(rollout):
    """Bootstrap from twice the value of the next state: values chase themselves upwards."""
    rollout.next_values = 2 * rollout.next_values + 1
    rollout.done = np.zeros_like(rollout.done)


def with_weights(change, name):
    """PPO whose network is changed once, before it starts."""

    def setup(self, config):
        PPO.setup(self, config)
        with torch.no_grad():
            change(self.learner_group._learner.module["default_policy"])
        self.push_weights()

    return type(name, (PPO,), {"setup": setup})


def saturate(network):
    """Make weights so large that every hidden unit is at its end."""
    for parameter in network.parameters():
        parameter.mul_(1e5)


def kill_convolutions(network):
    """Switch all rectifiers of the last convolution off, through which no gradient passes then."""
    (encoder,) = network.encoders
    last = [layer for layer in encoder.layers if isinstance(layer, torch.nn.Conv2d)][-1]
    for weight, value in zip(last.parameters(), (0, -1), strict=True):
        weight.fill_(value)


def close_gates(network):
    """Close the gates of a GRU through which the state would pass, and gradients with it."""
    core = network.memory.core
    core.bias_ih_l0[: 2 * core.hidden_size] = -50  # reset and update


def shifted_v_star(by):
    """A*-PO whose estimate of V* is off."""

    class Shifted(AStarPO):
        def _estimate_v_star(self, returns):
            return super()._estimate_v_star(returns) + by

    return Shifted


FAULTY = {
    "detached policy": detached("policy"),
    "detached value": detached("value"),
    "detached entropy": detached("entropy"),
    # Makes what was good rarer.
    "wrong sign": with_rows(
        PPO, lambda rows: rows.with_columns(advantages=-rows["advantages"]), "WrongSign"
    ),
    # Gives every step the advantage of another one.
    "shuffled advantages": with_rows(
        PPO, lambda rows: shuffle_column(rows, "advantages"), "Shuffled"
    ),
    "no future": with_rollout(forget_future, "NoFuture"),
    "diverging": with_rollout(chase_values, "Diverging"),
    # The critic's targets are noise: it can explain nothing.
    "critic of noise": with_rows(
        PPO, lambda rows: shuffle_column(rows, "returns"), "ConstantValue"
    ),
    "saturated": with_weights(saturate, "Saturated"),
    "dead convolutions": with_weights(kill_convolutions, "DeadConvolutions"),
    "closed gates": with_weights(close_gates, "ClosedGates"),
    "V* too high": shifted_v_star(50.0),
    "V* too low": shifted_v_star(-50.0),
}
