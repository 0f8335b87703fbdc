# pyright: basic, reportArgumentType=false, reportPrivateImportUsage=false
"""Tasks that need memory, and one that needs pixels."""

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv


class RepeatPrevious(gymnasium.Env):
    """Shows one of three cards a step; repeating the card of ``delay`` steps ago pays 1.

    A policy that sees only the present card gets a third of the 30 points at best.
    """

    observation_space = spaces.Discrete(3)
    action_space = spaces.Discrete(3)
    length = 30

    def __init__(self, delay=2):
        self.delay = delay

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cards = [int(self.np_random.integers(3))]
        return self.cards[-1], {}

    def step(self, action):
        asked = self.cards[-1 - self.delay] if len(self.cards) > self.delay else int(action)
        self.cards.append(int(self.np_random.integers(3)))
        over = len(self.cards) > self.length
        return self.cards[-1], float(action == asked), over, False, {}


class Positions(gymnasium.ObservationWrapper):
    """CartPole without velocities: position and angle only."""

    def __init__(self):
        super().__init__(gymnasium.wrappers.TimeLimit(CartPoleEnv(), 500))
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def observation(self, observation):
        return observation[[0, 2]]


class TMaze(gymnasium.Env):
    """A corridor with a junction (Bakker 2001): the first cell shows at which side the reward is.

    The turn at the junction ends the episode and pays 1 at that side: half of them at chance.
    """

    observation_space = spaces.Discrete(4)  # cue of the left, of the right, corridor, junction
    action_space = spaces.Discrete(3)  # left, right, forward
    steps_limit = 40

    def __init__(self, length=8):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.side, self.place, self.steps = int(self.np_random.integers(2)), 0, 0
        return self.side, {}

    def step(self, action):
        self.steps += 1
        turned = self.place == self.length and action < 2
        self.place = min(self.place + (action == 2), self.length)
        seen = (self.side if self.place == 0 else 2) if self.place < self.length else 3
        reward = float(turned and action == self.side)
        return seen, reward, bool(turned), self.steps >= self.steps_limit and not turned, {}


class Catch(gymnasium.Env):
    """A ball falls through 10 x 10 pixels; a paddle of one pixel in the last row catches it."""

    observation_space = spaces.Box(0, 255, (10, 10, 1), np.uint8)
    action_space = spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.row, self.paddle = 0, 5
        self.column = int(self.np_random.integers(10))
        return self._draw(), {}

    def step(self, action):
        self.paddle = int(np.clip(self.paddle + action - 1, 0, 9))
        self.row += 1
        over = self.row == 9
        return self._draw(), float(over and self.paddle == self.column), over, False, {}

    def _draw(self):
        pixels = np.zeros((10, 10, 1), np.uint8)
        pixels[self.row, self.column] = pixels[9, self.paddle] = 255
        return pixels


for _world in (RepeatPrevious, TMaze, Catch):
    gymnasium.register(f"{_world.__name__}-v0", _world)
# A function: of a wrapper's class Gymnasium cannot read the metadata.
gymnasium.register("Positions-v0", lambda: Positions())
