# pyright: basic
"""Determinism: what differs between two plays of one seed."""

import itertools
import math
import time

import gymnasium
import numpy as np
import pytest
from sound_env import Sound
from violations import check_conformance

from envs.checking.determinism import check_same_seed
from envs.contract.violations import BrokenEnvironmentError, TimeLimitError


class Token:
    """Equal to itself only."""


class Informal(Sound):
    def step(self, action):
        return *super().step(action)[:4], {"took": time.perf_counter(), "token": Token()}


def test_info_that_differs_is_a_note_and_nothing_else():
    (found,) = check_conformance(Informal)
    assert (found.rule, found.severity) == ("info_differs", "note")
    assert "'took', 'token'" in found.sentence


class Cards(Sound):
    """Its infos are of every kind that compares in a way of its own."""

    def step(self, action):
        info = {
            "card": np.array(["2", "10"]),
            "hands": {"mine": [np.array(["J"]), np.nan]},
            "odds": np.array([np.nan, 0.5]),
            "any": np.array([None, "Q", [1]], object),
        }
        return *super().step(action)[:4], info


DEALT = itertools.count()
"""Cards dealt by all copies of the game together."""


class OtherCards(Cards):
    def step(self, action):
        *rest, info = super().step(action)
        return *rest, info | {"card": np.array([str(next(DEALT))])}


def test_infos_of_text_and_nan_are_compared_by_their_values():
    assert check_same_seed(Cards, math.inf) == []
    (found,) = check_same_seed(OtherCards, math.inf)
    assert found.rule == "info_differs" and "in 'card' at" in found.sentence


class Lost(Sound):
    """Its third reward and all later ones are NaN."""

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, float("nan") if self.time >= 3 else reward, *rest


def test_a_nan_that_comes_again_is_no_other_reward():
    assert check_same_seed(Lost, math.inf) == []


class Drifts(Sound):
    """Its reward depends on how many environments were made before it."""

    made = 0

    def __init__(self):
        type(self).made += 1
        self.number = type(self).made

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float(self.number if self.time == 3 else 0), *rest


def test_another_reward_from_the_same_seed_is_a_violation():
    with pytest.raises(BrokenEnvironmentError) as refusal:
        check_same_seed(Drifts, math.inf)
    found = refusal.value.violation
    assert (found.rule, found.step) == ("same_seed", 3)
    assert check_same_seed(Sound, math.inf) == []


def test_an_environment_that_says_it_is_random_is_not_compared():
    gymnasium.register("Random-v0", lambda **_: Drifts(), nondeterministic=True)
    with pytest.raises(TimeLimitError, match="registered as nondeterministic"):
        check_same_seed(lambda: gymnasium.make("Random-v0"), math.inf)
    del gymnasium.registry["Random-v0"]
