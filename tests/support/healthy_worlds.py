# pyright: basic
"""Healthy environments in each of which one trait looks like a fault."""

from typing import Any

import gymnasium
import numpy as np
import sick_worlds
from gymnasium import spaces
from sick_worlds import Targets


class Storm(Targets):
    """Pays for the bit, and five times as much by dice that no seed reaches."""

    length = 100

    def paid(self, action):
        return super().paid(action) + 5 * float(sick_worlds.DICE.normal())


class Combination(Targets):
    """A row of moves opens a lock; time that runs out costs by the size of the lock."""

    length = 30

    def reset(self, **kwargs):
        self.place = self.size = 0
        return super().reset(**kwargs)

    def step(self, action):
        is_right = action == self.place % 2
        self.place = self.place + 1 if is_right else 0
        seen, reward, over, *rest = super().step(action)
        return seen, reward, over or self.place >= self.size, *rest

    def paid(self, action):
        if self.place >= self.size:
            return 1.0
        return -self.size / 10 if self.steps >= self.length else 0.0

    def _seen(self):
        self.size = self.size or int(self.np_random.integers(20, 30))
        return np.array([self.size / 100, self.place / 100], np.float32)


class OldGenerator(Targets):
    """Draws with NumPy's old generator, whose methods have other names."""

    def reset(self, *, seed=None, options=None):
        self.np_random: Any = np.random.RandomState(seed)
        self.steps = 0
        return self._seen(), {}

    def _seen(self):
        self.bit = int(self.np_random.rand() < 0.5)
        return np.array([2 * self.bit - 1, self.np_random.rand()], np.float32)


class Bytes(Targets):
    """Takes bytes from 1 to 255 and raises at any other."""

    action_space = spaces.Box(1, 255, (2,), np.uint8)

    def paid(self, action):
        if action not in self.action_space:
            raise LookupError(f"illegal {action}")
        return super().paid(int(action[0] > 128))


class Engine(Targets):
    """Takes commands, which its wrapper makes of actions."""

    def paid(self, action):
        return super().paid(action["command"])


class Commands(gymnasium.Wrapper):
    """Makes commands of actions."""

    def step(self, action):
        return self.env.step({"command": action})


class Levels(Targets):
    """Reads an option, where there are any."""

    def reset(self, *, seed=None, options=None):
        self.level = 1 if options is None else options["level"]
        return super().reset(seed=seed)


class Rounded(Targets):
    """Shows a list, one number of which rounding has put outside of its bounds."""

    observation_space = spaces.Box(-1, 1, (2,), np.float64)

    def _seen(self):
        return [float(entry) * 1.0000000000000002 for entry in super()._seen()]


class Dial(Rounded):
    """Shows one number, which rounding may have put outside of its bounds."""

    observation_space = spaces.Box(-1, 1, (), np.float64)

    def _seen(self):
        return super()._seen()[0]


class Flag(Targets):
    """Pays a flag of NumPy, and ends with an array of one."""

    def step(self, action):
        seen, reward, over, *rest = super().step(action)
        return seen, np.bool_(reward), np.array(over), *rest


class Scalar(Targets):
    """Pays an array without axes."""

    def paid(self, action):
        return np.array(super().paid(action))


class Patient(Targets):
    """Pays nothing, or always the same, before its end."""

    length, wage = 1500, 0.0

    def paid(self, action):
        return 1.0 if self.steps == self.length else self.wage


class Turns(Targets):
    """Shows whose turn it is, in a cycle that divides the interval of any sample."""

    observation_space = spaces.Discrete(8)
    length = 63

    def paid(self, action):
        return float(action == (self.steps - 1) % 2)

    def _seen(self):
        return self.steps % 8


class Gate(Targets):
    """Shows a position that changes after 50 steps; each takes three seconds of a clock."""

    observation_space = spaces.Discrete(2)
    length = 100

    def paid(self, action):
        return float(action)

    def _seen(self):
        return self.steps // 50 % 2


class Fined(Targets):
    """Ends at any time, which alone costs something."""

    fine = -1.0

    def step(self, action):
        seen, _, _, _, info = super().step(action)
        over = self.steps > 4 and bool(self.np_random.random() < 0.2)
        return seen, self.fine * over, over, False, info


class Pennies(Targets):
    """Pays a thousandth of a millionth of a penny."""

    def paid(self, action):
        return 1e-11 * float(action)


class Sentences(Targets):
    """Takes text."""

    action_space = spaces.Text(4)

    def paid(self, action):
        return super().paid(int(len(action) > 2))


for _world in [world for world in vars().values() if isinstance(world, type)]:
    if issubclass(_world, Targets) and _world.__module__ == __name__:
        gymnasium.register(f"Healthy{_world.__name__}-v0", f"healthy_worlds:{_world.__name__}")
gymnasium.register("HealthyCommands-v0", lambda **kwargs: Commands(Engine(**kwargs)))
