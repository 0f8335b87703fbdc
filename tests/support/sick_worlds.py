# pyright: basic
"""Environments with one fault each, registered with the healthy ones to compare them with."""

import signal
import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from plain_worlds import Cue, FixedLength, Shown, Targets  # noqa: F401 (registered below)


class BrokenSampler(Targets):
    """Draws an action of its own, as the edges environment of the post-mortem in effect did."""

    def paid(self, action):
        return super().paid(int(self.np_random.integers(2)))


DICE = np.random.default_rng(0)
"""Dice that no seed of an environment reaches, though they fall alike in every test run."""


class OwnDice(Targets):
    """The same, but with dice that no seed reaches."""

    def paid(self, action):
        return super().paid(int(DICE.integers(2)))


class CoinToss(Targets):
    """Pays if the action meets a coin that is tossed after it: nothing can be learnt."""

    def paid(self, action):
        return float(action == self.np_random.integers(2))


class SealedCoinToss(CoinToss):
    """The same coin, but its generator cannot be set from outside."""

    @property
    def np_random(self):
        return super().np_random


class PaidByTheClock(Targets):
    """Pays by the number of the step."""

    def paid(self, action):
        return float(self.steps)


class Endless(Targets):
    """Never ends."""

    length = np.inf


class Motor(Targets):
    """Each step costs something until a fault ends the episode, and nothing else does."""

    def step(self, action):
        seen, _, _, _, info = super().step(action)
        return seen, -0.1, bool(self.np_random.random() < 0.05), False, info


class Unseeded(Targets):
    """Pays with noise that no seed reaches."""

    def paid(self, action):
        return super().paid(action) + float(DICE.normal())


class UnseededSight(Targets):
    """Shows bits that no seed reaches."""

    def _seen(self):
        self.bit = int(DICE.integers(2))
        return np.array([2 * self.bit - 1, DICE.random()], np.float32)


class Blindfolded(Targets):
    """Shows nothing."""

    def _seen(self):
        return 0 * super()._seen()


class StaleLabel(Targets):
    """Shows the array of its constructor where the bit should be."""

    observation_space = spaces.Dict(
        label=spaces.Box(-1, 1, (2,), np.float32), noise=spaces.Box(0, 1, (1,), np.float32)
    )
    label = np.zeros(2, np.float32)

    def _seen(self):
        return {"label": self.label, "noise": super()._seen()[1:]}


class Millions(Targets):
    """Pays a million at a time."""

    def paid(self, action):
        return 1e6 * super().paid(action)


class Cracked(Targets):
    """Pays NaN in one of ten episodes, whatever the actions."""

    rate = 0.01

    def paid(self, action):
        return super().paid(action) if self.np_random.random() > self.rate else float("nan")


class Tall(Targets):
    """Shows entries in the thousands."""

    observation_space = spaces.Box(-1e4, 1e4, (2,), np.float32)

    def _seen(self):
        return 3e3 * super()._seen()


class Broke(Targets):
    """Pays nothing."""

    def paid(self, action):
        return 0.0


class Always(Targets):
    """Pays -1 whatever happens."""

    def paid(self, action):
        return -1.0


class Late(Targets):
    """Raises later than any check before the start would look."""

    taken = 0

    def paid(self, action):
        Late.taken += 1
        if Late.taken > 3000:
            raise LookupError("no shelf 9")
        return super().paid(action)


class Bandit(Targets):
    """Healthy: one step, three arms, of which a hidden one pays."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Discrete(3)
    length = 1

    def paid(self, action):
        return float(action == self.arm)

    def _seen(self):
        self.arm = int(self.np_random.integers(3))
        return np.zeros(1, np.float32)


class Informal(Targets):
    """Healthy: says how long steps took."""

    def step(self, action):
        return *super().step(action)[:4], {"took": time.perf_counter()}


class Waiting(Targets):
    """Waits for a server in its third step; a time limit that is set is over at once then."""

    def paid(self, action):
        if self.steps == 3:
            signal.setitimer(signal.ITIMER_REAL, 0.01, 1)
            time.sleep(10_000)
        return super().paid(action)


class Tortoise(Targets):
    """Slow, but each of its calls returns."""

    clock: Any = None
    """The simulated clock by which it is slow."""

    def __init__(self):
        self.clock.now += 0.1

    def reset(self, **kwargs):
        self.clock.now += 0.1
        return super().reset(**kwargs)

    def paid(self, action):
        self.clock.now += 0.1
        return super().paid(action)


class Screen(Targets):
    """Healthy: shows the bit as a picture."""

    observation_space = spaces.Box(0, 255, (210, 160, 3), np.uint8)

    def _seen(self):
        super()._seen()
        return np.full((210, 160, 3), 255 * self.bit, np.uint8)


class Still(Targets):
    """Shows the same picture at every step."""

    observation_space = spaces.Box(0, 255, (10, 10, 1), np.uint8)

    def _seen(self):
        super()._seen()
        return np.arange(100, dtype=np.uint8).reshape(10, 10, 1)


class Whispers(Targets):
    """Shows numbers that differ by less than normalisation can scale up."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def _seen(self):
        return 1e-9 * super()._seen()


class Proverbs(Targets):
    """Shows text, which no policy here can read."""

    observation_space = spaces.Text(9)

    def _seen(self):
        super()._seen()
        return "left" if self.bit else "right"


class Noisy(Targets):
    """Healthy: pays with as much luck as merit."""

    def paid(self, action):
        return super().paid(action) + float(self.np_random.normal(0, 0.5))


class Masked(Targets):
    """Healthy: four choices of which two are legal, and the higher one of them pays."""

    observation_space = spaces.Dict(
        seen=spaces.Box(-1, 1, (2,), np.float32), mask=spaces.MultiBinary(4)
    )
    action_space = spaces.Discrete(4)

    def paid(self, action):
        return float(action == np.flatnonzero(self.mask).max())

    def _seen(self):
        self.mask = np.zeros(4, np.int8)
        self.mask[self.np_random.permutation(4)[:2]] = 1
        return {"seen": super()._seen(), "mask": self.mask.copy()}


class Forced(Masked):
    """Healthy: a mask that leaves one choice, and a value that counts."""

    action_space = spaces.Dict(choice=spaces.Discrete(4), value=spaces.Box(-1, 1, (), np.float32))

    def paid(self, action):
        return float(self.mask[action["choice"]] - abs(action["value"]))

    def _seen(self):
        seen = super()._seen()
        self.mask[:] = np.arange(4) == self.mask.argmax()
        return seen | {"mask": self.mask.copy()}


class Levers(Targets):
    """Healthy: an action of every kind, one of which has a single option."""

    action_space = spaces.Dict(
        only=spaces.Discrete(1),
        pair=spaces.MultiDiscrete([2, 3]),
        push=spaces.Box(-1, 1, (2,), np.float32),
        aim=spaces.Dict(choice=spaces.Discrete(2), value=spaces.Box(-1, 1, (), np.float32)),
    )

    def paid(self, action):
        named = super().paid(action["pair"][0]) + super().paid(action["aim"]["choice"])
        return named - float(np.square(action["push"]).sum() + action["aim"]["value"] ** 2)


class Tired(Targets):
    """Pays until 60 steps of all episodes together are done: reset() restores nothing."""

    energy = 60

    def paid(self, action):
        self.energy -= 1
        return super().paid(action) * (self.energy > 0)


class LateFog(Targets):
    """Shows noise that no seed reaches from its seventh step on."""

    def _seen(self):
        seen = super()._seen()
        return seen + np.float32(DICE.random() * (self.steps > 6))


class Wide(FixedLength):
    """Pays for nearness to a shown number within 1, however far the box reaches."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Box(-100, 100, (2,), np.float32)

    def paid(self, action):
        return -float(np.minimum(np.abs(action - self.seen), 5).sum())

    def _seen(self):
        self.seen = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.seen


class Spread(Wide):
    """Healthy: the same with a box that is useful to its ends."""

    action_space = spaces.Box(-1, 1, (2,), np.float32)


class Idle(Wide):
    """Healthy: each action costs, so that none is as good as the middle."""

    def paid(self, action):
        return -float(np.square(action).sum())


class OneSided(Wide):
    """Pays for nearness to a number just above the lower end."""

    action_space = spaces.Box(0, 200, (2,), np.float32)

    def paid(self, action):
        return super().paid(action - 1)


class Overflow(Targets):
    """Pays -1e6 about once in 2,000 steps."""

    rare, is_end = -1e6, False

    def step(self, action):
        seen, reward, over, *rest = super().step(action)
        if self.np_random.random() < 5e-4:
            reward, over = self.rare, over or self.is_end
        return seen, reward, over, *rest


class Resumed(Targets):
    """Goes on where the last episode ended: reset() sets the clock alone."""

    place = 0.0

    def step(self, action):
        self.place += float(action) - 0.4
        return super().step(action)

    def _seen(self):
        return np.array([super()._seen()[1], self.place / 1e6], np.float32)


class Unfolding(Targets):
    """Divides its rewards by the mean of all so far."""

    mean = 0.1

    def paid(self, action):
        reward = 1 + super().paid(action)
        self.mean += 0.01 * (reward - self.mean)
        return reward / self.mean


for _world in [world for world in vars().values() if isinstance(world, type)]:
    if issubclass(_world, gymnasium.Env):
        gymnasium.register(f"Sick{_world.__name__}-v0", f"sick_worlds:{_world.__name__}")
