# pyright: basic, reportArgumentType=false
"""A game whose legal moves change, in each form in which environments offer masks.

Each number that is observed belongs to a move; the move is legal where the number is positive, and
the largest one pays. So every mask, wherever it is shown, can be compared with its own observation.
An illegal move raises. After the end, games in ``info`` show no mask and others an empty one.
"""

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

SIZES = {"one": (5,), "several": (3, 2)}
"""Moves of each choice: one Discrete, or the parts of a MultiDiscrete."""


class Game(gymnasium.Env):
    """The game without its mask; ends after 3 to 6 steps, by turns by the task and by time."""

    form = ""

    def __init__(self, kind="one", forced=0.0):
        self.sizes, self.forced = SIZES[kind], forced
        self.numbers = spaces.Box(-1, 1, (sum(self.sizes),), np.float32)
        self.action_space = (
            spaces.Discrete(5, start=2) if kind == "one" else spaces.MultiDiscrete(self.sizes)
        )
        shown = {
            "observation": self.numbers,
            self.form: spaces.Box(0, 1, self.numbers.shape, np.int8),
        }
        part = self.form in ("mask", "action_mask")
        self.observation_space = spaces.Dict(shown) if part else self.numbers

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.length = 0, int(self.np_random.integers(3, 7))
        return self.look(False), self.tell(False)

    def step(self, action):
        chosen = [action - 2] if isinstance(self.action_space, spaces.Discrete) else action
        parts = np.split(self.seen, np.cumsum(self.sizes)[:-1])
        reward = 0.0
        for part, index in zip(parts, chosen, strict=True):
            if part[index] <= 0:
                raise LookupError(f"move {index} is closed")
            reward += float(index == part.argmax()) / len(parts)
        self.time += 1
        over = self.time >= self.length
        by_time = bool(self.length % 2)
        return self.look(over), reward, over and not by_time, over and by_time, self.tell(over)

    def draw(self):
        """Draw the next numbers: at least one of each choice is positive."""
        seen = self.np_random.uniform(-1, 1, self.numbers.shape).astype(np.float32)
        forced = self.np_random.random() < self.forced
        for part in np.split(seen, np.cumsum(self.sizes)[:-1]):  # views
            if forced or not (part > 0).any():
                part[:] = -np.abs(part)
                index = int(self.np_random.integers(len(part)))
                part[index] = -part[index] + 1e-3
        return seen.clip(-1, 1)

    def look(self, over):
        self.seen = self.draw()
        mask = (self.seen > 0).astype(np.int8) * (not over)
        return {"observation": self.seen, self.form: mask} if self.shows() else self.seen

    def shows(self):
        return isinstance(self.observation_space, spaces.Dict)

    def tell(self, over):
        return {}


class PartGame(Game):
    """PettingZoo's and RLlib's form."""

    form = "action_mask"


class ReadGame(Game):
    """The form of Rungwise's own worlds."""

    form = "mask"


class InfoGame(Game):
    """The form of Gymnasium's Taxi."""

    def tell(self, over):
        return {} if over else {"action_mask": (self.seen > 0).astype(np.int8)}


class MethodGame(Game):
    """sb3-contrib's form: booleans, of several choices as a list."""

    def action_masks(self):
        legal = self.seen > 0
        return legal if len(self.sizes) == 1 else np.split(legal, np.cumsum(self.sizes)[:-1])


class WrongGame(InfoGame):
    """Wrong after three steps of its second episode, in a way of its own."""

    def __init__(self, fault="none"):
        super().__init__()
        self.fault, self.episodes = fault, 0

    def reset(self, **kwargs):
        self.episodes += 1
        observation, info = super().reset(**kwargs)
        self.length = 6
        return observation, info

    def tell(self, over):
        if self.episodes < 2 or self.time != 3:
            return super().tell(over)
        return {
            "none": {"action_mask": np.zeros(5, np.int8)},
            "missing": {},
            "size": {"action_mask": np.ones(4, np.int8)},
        }[self.fault]


FORMS = {"mask": ReadGame, "action_mask": PartGame, "info": InfoGame, "method": MethodGame}
MODES = {"same": AutoresetMode.SAME_STEP, "next": AutoresetMode.NEXT_STEP}


def batched(game, mode):
    """A vector entry point of these games."""

    def make(num_envs, max_episode_steps=None, **kwargs):
        return SyncVectorEnv([lambda: game(**kwargs)] * num_envs, autoreset_mode=mode)

    return make


for _name, _game in FORMS.items():
    gymnasium.register(f"Game-{_name}-v0", _game)
    for _mode, _value in MODES.items():
        gymnasium.register(f"Game-{_name}-{_mode}-v0", vector_entry_point=batched(_game, _value))
gymnasium.register("Game-wrong-v0", WrongGame)
gymnasium.register(
    "Game-both-v0", MethodGame, vector_entry_point=batched(MethodGame, AutoresetMode.NEXT_STEP)
)
