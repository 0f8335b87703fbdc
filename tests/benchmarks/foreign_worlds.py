# pyright: basic
"""Small tasks, and one wrapper that puts a fault into any of them, for the runs of other tools."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Match(gymnasium.Env):
    """Twenty times: name the symbol that is shown; 1 for each that is right."""

    observation_space = spaces.Box(0, 1, (4,), np.float32)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._shown(), {}

    def step(self, action):
        self.steps += 1
        reward = float(action == self.symbol)
        return self._shown(), reward, self.steps == 20, False, {}

    def _shown(self):
        self.symbol = int(self.np_random.integers(4))
        return np.eye(4, dtype=np.float32)[self.symbol]


class Reach(gymnasium.Env):
    """A point on a line is pushed towards zero for 25 steps; the distance is what it costs."""

    observation_space = spaces.Box(-5, 5, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.at = 0, float(self.np_random.uniform(-2, 2))
        return self._seen(), {}

    def step(self, action):
        self.steps += 1
        self.at = float(np.clip(self.at + 0.3 * np.clip(action[0], -1, 1), -5, 5))
        return self._seen(), -abs(self.at), self.steps == 25, False, {}

    def _seen(self):
        return np.array([self.at], np.float32)


class Corridor(gymnasium.Env):
    """Eleven fields and a goal at the end that is shown; a step costs 0.02, the goal pays 1."""

    observation_space = spaces.Box(0, 1, (13,), np.float32)
    action_space = spaces.Discrete(2)
    far, limit = 10, 40

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        self.at = self.far // 2 + int(self.np_random.integers(-2, 3))
        self.right = int(self.np_random.integers(2))
        return self._seen(), {}

    def step(self, action):
        self.steps += 1
        self.at = min(max(self.at + (1 if action else -1), 0), self.far)
        there = self.at == self.far * self.right
        return self._seen(), float(there) - 0.02, there, self.steps == self.limit, {}

    def _seen(self):
        field = self.at * 10 // self.far
        return np.concatenate([np.eye(11)[field], np.eye(2)[self.right]]).astype(np.float32)


class Far(Corridor):
    """A goal that forty steps do not reach."""

    far = 200


class Pick(gymnasium.Env):
    """Ten times: take the largest of three numbers and be paid it, with noise."""

    observation_space = spaces.Box(-10, 10, (3,), np.float32)
    action_space = spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._shown(), {}

    def step(self, action):
        self.steps += 1
        reward = float(self.numbers[action] + 0.5 * self.np_random.normal())
        return self._shown(), reward, self.steps == 10, False, {}

    def _shown(self):
        self.numbers = self.np_random.normal(size=3).astype(np.float32)
        return self.numbers


class Track(gymnasium.Env):
    """A point in the plane follows a mark that drifts, for 20 steps; the distance is the cost."""

    observation_space = spaces.Box(-10, 10, (4,), np.float32)
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        self.at, self.mark = self.np_random.uniform(-2, 2, (2, 2))
        return self._seen(), {}

    def step(self, action):
        self.steps += 1
        self.at = self.at + 0.4 * np.clip(action, -1, 1)
        self.mark = self.mark + 0.1 * self.np_random.normal(size=2)
        reward = -float(np.linalg.norm(self.at - self.mark))
        return self._seen(), reward, False, self.steps == 20, {}

    def _seen(self):
        return np.clip(np.concatenate([self.at, self.mark]), -10, 10).astype(np.float32)


class OneHot(gymnasium.ObservationWrapper):
    """A number as one-hot code, for networks."""

    def __init__(self, env):
        super().__init__(env)
        codes: Any = env.observation_space
        self.kinds = int(codes.n)
        self.observation_space = spaces.Box(0, 1, (self.kinds,), np.float32)

    def observation(self, observation):
        return np.eye(self.kinds, dtype=np.float32)[observation]


SCALES = {"": 1.0, "reward x 1e5": 1e5, "reward x 1e-6": 1e-6, "reward x 1e-8": 1e-8}
"""Faults that leave the order of returns as it was."""
FACTORS = SCALES | {"no reward": 0.0}


class Faulty(gymnasium.Wrapper):
    """Any environment with one fault; ``after`` steps for those that come later."""

    def __init__(self, env, fault="", after=2000):
        super().__init__(env)
        self.fault, self.after, self.count, self.episode = fault, after, 0, 0
        self.rng = np.random.default_rng(0)

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
            self.action_space.seed(seed)
        self.episode = 0
        observation, info = self.env.reset(seed=seed, options=options)
        return self._seen(observation), info

    def step(self, action):
        self.count, self.episode = self.count + 1, self.episode + 1
        if self.fault == "action ignored":
            action = self.action_space.sample()
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self.fault in ("never ends", "same reward"):
            if terminated or truncated:
                observation, info = self.env.reset()
            terminated = truncated = False
        if self.fault == "same reward":
            terminated = self.episode == 50
        terminated |= self.fault == "one step"
        return self._seen(observation), self._paid(reward), terminated, truncated, info

    def _paid(self, reward):
        late = self.count > self.after
        if self.fault == "same reward":
            return 1.0
        if self.fault == "random reward":
            return float(self.rng.normal())
        if self.fault == "NaN reward" and late:
            return float("nan")
        if self.fault == "sign flips" and late:
            return -float(reward)
        return FACTORS.get(self.fault, 1.0) * float(reward)

    def _seen(self, observation):
        if self.fault == "constant observation":
            return np.ones_like(observation)
        late = self.fault == "noise later" and self.count > self.after
        if self.fault == "noise for observation" or late:
            drawn = self.rng.normal(size=observation.shape).astype(np.float32)
            space: Any = self.observation_space
            return np.clip(drawn, space.low, space.high)
        return observation


LEARNT = {
    "CartPole": 120.0,
    "Acrobot": -200.0,
    "Pendulum": -600.0,
    "FrozenLake": 0.6,
    "Match": 12.0,
    "Reach": -20.0,
    "LargeLake": 0.6,
    "Corridor": 0.7,
    "Pick": 6.0,
    "Track": -18.0,
}
"""Mean return of the last episodes from which a run counts as healthy. A random policy has about
22, -500, -1200, 0.01, 5 and -43."""


def learnt(env, fault, final) -> bool:
    """Whether a run ended well by the return of its task, where that can be told."""
    if final is None or fault not in SCALES or env not in LEARNT:
        return False
    return bool(final / SCALES[fault] >= LEARNT[env])


def make(env, fault="", after=2000):
    """An environment by its short name, with a fault if one is named."""
    made = {
        "CartPole": lambda: gymnasium.make("CartPole-v1"),
        "Acrobot": lambda: gymnasium.make("Acrobot-v1"),
        "Pendulum": lambda: gymnasium.make("Pendulum-v1"),
        "MountainCar": lambda: gymnasium.make("MountainCar-v0"),
        "LargeLake": lambda: OneHot(
            gymnasium.make("FrozenLake-v1", map_name="8x8", is_slippery=False)
        ),
        "FrozenLake": lambda: OneHot(gymnasium.make("FrozenLake-v1", is_slippery=False)),
        "Match": Match,
        "Reach": Reach,
        "Corridor": Corridor,
        "Far": Far,
        "Pick": Pick,
        "Track": Track,
    }[env]()
    return Faulty(made, fault, after)
